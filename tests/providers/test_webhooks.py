"""Callbacks are believed when the vendor signed them, these bytes, a short while ago."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from openai import InvalidWebhookSignatureError, OpenAI
from replicate.webhook import Webhooks as ReplicateWebhooks
from replicate.webhook import WebhookSigningSecret

from core.errors import Misconfigured, Rejected
from providers.webhooks import WINDOW, verify_standard, verify_token
from simulator.webhooks import SECRET, sign_standard

LONG = "whsec_ZXhhbXBsZS1zaWduaW5nLWtleS0zMi1ieXRlcy1sb25n"
# Vendors' published examples, or reckoned by their rules: secret, id, time, body, signature.
EXAMPLES = {
    "openai": (
        LONG,
        "wh_685342e6c53c8190a1be43f081506c52",
        1760000000,
        (
            b'{"id":"evt_1","object":"event","created_at":1760000000,"type":"video.completed",'
            b'"data":{"id":"video_123"}}'
        ),
        "v1,3WP5FdqIugagy4CwvVBLL8BX3aAcMAh3Kv5G0YyF4Rg=",
    ),
    "kling": (
        "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI=",
        "9876543210",
        1781080794,
        (
            b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,'
            b'"update_time":1781080794151}'
        ),
        "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
    ),
    "replicate": (
        LONG,
        "msg_1",
        1760000000,
        b'{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}',
        "v1,XhChvXcXzMMoDNNcLXpzBIqsfgNeviQXwRIfW/m/Y6s=",
    ),
    "gemini": (
        LONG,
        "msg_1",
        1760000000,
        (
            b'{"type":"interaction.completed","version":"v1","timestamp":"2026-11-01T12:00:00Z",'
            b'"data":{"id":"v1_abc"}}'
        ),
        "v1,Fo43TcoyEWSCr1neDvkIj4NSbDvo/bC8o8jUt4l7Mbs=",
    ),
}
SECRETS, ID, AT, BODY, SIGNATURE = (EXAMPLES["kling"][n] for n in range(5))


def headers(event_id=ID, at=AT, signature=SIGNATURE):
    return {"webhook-id": event_id, "webhook-timestamp": str(at), "webhook-signature": signature}


@pytest.mark.parametrize("vendor", EXAMPLES)
def test_every_vendors_worked_example_is_taken_and_one_byte_less_is_not(vendor):
    secret, event_id, at, body, signature = EXAMPLES[vendor]
    said = headers(event_id, at, signature)
    assert verify_standard(secret, said, body, at) == event_id
    assert sign_standard(event_id, body, at, secret) == said, "the simulator signs as the vendor does"
    for changed in (body[:-1], body + b" ", body.replace(b'"', b"'", 1)):
        with pytest.raises(Rejected) as caught:
            verify_standard(secret, said, changed, at)
        assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    "signature",
    [
        f"v1,AAAA {SIGNATURE}",
        f"{SIGNATURE} v1,{'A' * 44}",
        f"v1a,whatever {SIGNATURE} v9,x",
        f"  {SIGNATURE}  ",
    ],
)
def test_one_good_signature_of_several_is_enough_while_a_secret_is_exchanged(signature):
    assert verify_standard(SECRETS, headers(signature=signature), BODY, AT) == ID


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "unsigned"),
        ({**headers(), "webhook-id": ""}, "unsigned"),
        ({**headers(), "webhook-signature": ""}, "unsigned"),
        (headers(signature=SIGNATURE.removeprefix("v1,")), "bad_signature"),
        (headers(signature=SIGNATURE.replace("v1,", "v2,")), "bad_signature"),
        (headers(signature=SIGNATURE.replace("v1,", "v1,é")), "bad_signature"),
        (headers(signature=SIGNATURE[:-1]), "bad_signature"),
        (headers(signature="v1,"), "bad_signature"),
        (headers(event_id="9876543211"), "bad_signature"),
        (headers(at=AT + 1), "bad_signature"),
        ({**headers(), "webhook-timestamp": ""}, "stale_callback"),
        (headers(at=f"{AT}.0"), "stale_callback"),
        (headers(at=f"-{AT}"), "stale_callback"),
        (headers(at="١٧٨١٠٨٠٧٩٤"), "stale_callback"),
    ],
)
def test_what_is_not_signed_by_the_vendor_is_refused(said, code):
    with pytest.raises(Rejected) as caught:
        verify_standard(SECRETS, said, BODY, AT)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("later", "taken"),
    [(0, True), (WINDOW, True), (-WINDOW, True), (WINDOW + 1, False), (-WINDOW - 1, False)],
)
def test_a_good_signature_lives_five_minutes_both_ways(later, taken):
    if taken:
        assert verify_standard(SECRETS, headers(), BODY, AT + later) == ID
        return
    with pytest.raises(Rejected) as caught:
        verify_standard(SECRETS, headers(), BODY, AT + later)
    assert caught.value.code == "stale_callback"


def test_a_secret_without_its_prefix_is_base64_or_text_as_the_vendor_says():
    bare = SECRETS.removeprefix("whsec_")
    assert verify_standard(bare, headers(), BODY, AT) == ID
    with pytest.raises(Rejected):
        verify_standard(bare, headers(), BODY, AT, bare="text")
    as_text = "whsec_" + base64.b64encode(b"a plain secret").decode()
    said = sign_standard("e", BODY, AT, as_text)
    assert verify_standard("a plain secret", said, BODY, AT, bare="text") == "e"


@pytest.mark.parametrize("secret", ["", "whsec_", "  ", "whsec_!!!", "whsec_é"])
def test_a_secret_that_is_none_signs_for_nobody(secret):
    with pytest.raises(Misconfigured):
        verify_standard(secret, headers(), BODY, AT)


def test_the_vendors_own_clients_take_what_the_simulator_signs():
    now = time.time()
    said = sign_standard("e", BODY, now)
    OpenAI(api_key="k").webhooks.verify_signature(BODY, said, secret=SECRET)
    ReplicateWebhooks.validate(headers=said, body=BODY.decode(), secret=WebhookSigningSecret(key=SECRET))
    assert verify_standard(SECRET, said, BODY, now) == "e"
    with pytest.raises(InvalidWebhookSignatureError):
        OpenAI(api_key="k").webhooks.verify_signature(BODY + b" ", said, secret=SECRET)


# -- signed tokens ---------------------------------------------------------------------------------

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set(**keys):
    return {
        "keys": [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "RS256"}
            for kid, key in keys.items()
        ]
    }


def token(claims, key=KEY, kid="one", algorithm="RS256"):
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


PUBLISHED = key_set(zero=OTHER, one=KEY)
CLAIMS = {"iat": AT, "exp": AT + 600, "aud": "https://films.example/gemini", "job": "1"}


def test_a_token_is_checked_with_the_key_that_its_kid_names():
    assert verify_token(token(CLAIMS), PUBLISHED, AT)["job"] == "1"
    assert verify_token(token(CLAIMS), PUBLISHED, AT, audience=CLAIMS["aud"])["job"] == "1"


SHARED = "a shared secret of thirty-two bytes or more"


@pytest.mark.parametrize(
    "bad",
    [
        token(CLAIMS, key=OTHER),
        token(CLAIMS, kid="two"),
        jwt.encode(CLAIMS, KEY, algorithm="RS256"),
        jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": "one"}),
        token(CLAIMS, key=PUBLISHED["keys"][1]["n"], algorithm="HS256"),
        token(CLAIMS)[:-4],
        "",
        "a.b.c",
        "v1,AAAA",
    ],
)
def test_a_token_that_is_not_the_vendors_is_refused(bad):
    with pytest.raises(Rejected) as caught:
        verify_token(bad, PUBLISHED, AT)
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": [{"kid": "one"}]}, {"keys": "no"}])
def test_a_key_set_that_has_no_key_signs_for_nobody(keys):
    with pytest.raises(Rejected):
        verify_token(token(CLAIMS), keys, AT)


def test_a_token_for_somebody_else_is_refused():
    with pytest.raises(Rejected):
        verify_token(token(CLAIMS), PUBLISHED, AT, audience="https://other.example")


@pytest.mark.parametrize(
    ("times", "later", "taken"),
    [
        ({"iat": AT, "exp": AT + 600}, 600, True),
        ({"iat": AT, "exp": AT + 600}, 601, False),
        ({"iat": AT, "exp": AT + 600}, -301, False),
        ({"nbf": AT, "exp": AT + 600}, -300, True),
        ({"iat": AT}, 300, True),
        ({"iat": AT}, 301, False),
        ({"exp": AT + 600}, 0, True),
        ({}, 0, False),
        ({"exp": "soon"}, 0, False),
    ],
)
def test_a_token_lives_as_long_as_it_says_else_five_minutes(times, later, taken):
    signed = token(times)
    if taken:
        assert verify_token(signed, PUBLISHED, AT + later) == times
        return
    with pytest.raises(Rejected) as caught:
        verify_token(signed, PUBLISHED, AT + later)
    assert caught.value.code == "stale_callback"


def test_a_shared_secret_takes_its_own_tokens_only():
    assert verify_token(token(CLAIMS, key=SHARED, algorithm="HS256"), SHARED, AT)["job"] == "1"
    for bad in (token(CLAIMS, key=SHARED + "x", algorithm="HS256"), token(CLAIMS)):
        with pytest.raises(Rejected):
            verify_token(bad, SHARED, AT)
    with pytest.raises(Misconfigured):
        verify_token(token(CLAIMS, key=SHARED, algorithm="HS256"), "", AT)
