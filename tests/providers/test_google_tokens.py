"""Tokens of a service account: asked for as Google's own library asks, kept for as long as they are good."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from core.errors import Misconfigured, PipelineError, Retryable
from core.http import HttpClient
from core.settings import VendorSettings
from providers.google_tokens import ServiceTokens
from providers.veo_vertex import VeoVertex
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, open_at

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
GOOD = Reply(body=b'{"access_token": "ya29.fresh", "expires_in": 3599, "token_type": "Bearer"}')


def account(url, **other):
    return {
        "type": "service_account",
        "client_email": "films@films.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": PEM,
        "token_uri": f"{url}/token",
        **other,
    }


def client(server):
    return HttpClient(allow=[server.host], retry_for=0, sleep=lambda _: None)


def said(ask):
    form = parse_qs(ask.body.decode())
    token = form.pop("assertion")[0]
    claims = jwt.decode(token, KEY.public_key(), ["RS256"], options={"verify_aud": False})
    lasts = claims.pop("exp") - claims.pop("iat")
    return ask.method, ask.path, form, claims, lasts, jwt.get_unverified_header(token)


def test_a_token_is_asked_for_as_googles_own_library_does():
    with Loopback(lambda _: GOOD) as server:
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        Credentials.from_service_account_info(account(server.url), scopes=scopes).refresh(Request())
        now = jwt.decode(
            parse_qs(server.asks[0].body.decode())["assertion"][0], options={"verify_signature": False}
        )["iat"]
        token = ServiceTokens().get(client(server), "X", json.dumps(account(server.url)), now)
    assert token == "ya29.fresh"
    assert said(server.asks[1]) == said(server.asks[0])


def test_a_token_is_kept_until_shortly_before_it_ends():
    with Loopback(lambda _: GOOD) as server:
        tokens, text = ServiceTokens(), json.dumps(account(server.url))
        for later in (0, 10, 3200, 3300, 3400):
            tokens.get(client(server), "X", text, 1e9 + later)
        assert len(server.asks) == 2
        tokens.get(client(server), "X", json.dumps(account(server.url, client_email="other@x")), 1e9)
        assert len(server.asks) == 3


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"client_email": "a", "private_key": "no key"}'])
def test_what_is_no_key_file_names_the_setting_and_not_the_key(text):
    with (
        Loopback(lambda _: GOOD) as server,
        pytest.raises(Misconfigured, match="VEO_VERTEX_API_SECRET") as caught,
    ):
        ServiceTokens().get(client(server), "VEO_VERTEX_API_SECRET", text, 1e9)
    assert "no key" not in caught.value.message
    assert server.asks == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, b'{"error": "invalid_grant"}'), Misconfigured),
        (Reply(401, b"{}"), Misconfigured),
        (Reply(503, b""), Retryable),
        (Reply(200, b"{}"), Retryable),
        (Reply(200, b"[]"), Retryable),
    ],
)
def test_a_refused_account_is_the_operators_affair_and_anything_else_may_pass(reply, error):
    with Loopback(lambda _: reply) as server, pytest.raises(PipelineError) as caught:
        ServiceTokens().get(client(server), "X", json.dumps(account(server.url)), 1e9)
    assert type(caught.value) is error
    assert PEM not in caught.value.message


def test_vertex_is_asked_with_the_token_of_its_account():
    def answer(ask):
        return GOOD if ask.path == "/token" else Reply(body=b'{"name": "projects/p/operations/1"}')

    with Loopback(answer) as server:
        own = VendorSettings(api_secret=json.dumps(account(server.url)), project="films", url=server.url)
        assert VeoVertex.usable(own) is None
        vertex = open_at(VeoVertex, own, server.url)
        vertex.submit(ASK, "t")
        vertex.submit(ASK, "t")
    assert [ask.path for ask in server.asks[:1]] == ["/token"]
    assert [ask.headers["authorization"] for ask in server.asks[1:]] == ["Bearer ya29.fresh"] * 2
