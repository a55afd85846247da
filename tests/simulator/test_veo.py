"""Google's own client judges simulated Veo, and sends what our adapter sends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from google import genai
from google.genai import types
from google.genai.errors import ClientError
from google.oauth2.credentials import Credentials

from media.probe import probe
from providers.base import Handle
from tests.loopback import Loopback, Reply
from tests.providers.shops import ASK, VEO, VEO_VERTEX, open_at, picture
from tests.simulator.clients import essence

MODEL = "veo-3.1-fast-generate-001"
NAME = f"projects/films/locations/us-central1/publishers/google/models/{MODEL}/operations/1"


def vertex(url: str, token: str = VEO_VERTEX.key) -> genai.Client:
    return genai.Client(
        vertexai=True,
        project="films",
        location="us-central1",
        credentials=Credentials(token),
        http_options=types.HttpOptions(base_url=url, api_version="v1"),
    )


def gemini(url: str, key: str = VEO.key) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version="v1beta"))


def ask_for(
    client: genai.Client, image: types.Image | None = None, prompt: str = ASK.prompt, *, audio: bool = True
):
    return client.models.generate_videos(
        model=MODEL,
        source=types.GenerateVideosSource(prompt=prompt, image=image),
        config=types.GenerateVideosConfig(
            aspect_ratio="16:9",
            duration_seconds=4,
            resolution="720p",
            number_of_videos=1,
            generate_audio=audio,
        ),
    )


@pytest.mark.parametrize("audio", [True, False])
def test_the_client_asks_vertex_for_a_film_waits_and_has_it(vendor, tmp_path, audio):
    client = vertex(f"{vendor.url}/veo_vertex")
    operation = client.operations.get(ask_for(client, audio=audio))
    assert operation.done
    (tmp_path / "film.mp4").write_bytes(operation.response.generated_videos[0].video.video_bytes)
    seen = probe(tmp_path / "film.mp4")
    assert (round(seen.duration), seen.has_audio) == (4, audio)
    assert vendor.bill()["total"] == 4 * 100_000


def test_the_client_understands_a_filtered_film_and_a_refusal(vendor):
    client = vertex(f"{vendor.url}/veo_vertex")
    filtered = client.operations.get(ask_for(client, prompt="fault-failed"))
    assert filtered.done
    assert filtered.response.rai_media_filtered_count == 1
    assert "29310472" in filtered.response.rai_media_filtered_reasons[0]
    with pytest.raises(ClientError) as caught:
        ask_for(client, prompt="fault-moderated")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    with pytest.raises(ClientError) as caught:
        ask_for(vertex(f"{vendor.url}/veo_vertex", "wrong"))
    assert caught.value.code == 401


def test_our_adapter_sends_vertex_what_the_client_sends(tmp_path):
    image = picture(tmp_path)
    with Loopback(lambda _: Reply(body=json.dumps({"name": NAME}).encode())) as server:
        client = vertex(server.url)
        shown = types.Image(image_bytes=image.read_bytes(), mime_type="image/png")
        for sample in (None, shown):
            client.operations.get(ask_for(client, sample))
        veo = open_at(VEO_VERTEX.adapter, VEO_VERTEX.own(server.url), server.url, model=MODEL)
        for ask in (ASK, replace(ASK, image=image)):
            sent = veo.submit(ask, "t")
            veo.poll([Handle(sent.vendor_id, sent.receipt)])
    theirs, ours = server.asks[:4], server.asks[4:]
    assert [essence(ask, "content-type") for ask in ours] == [essence(ask, "content-type") for ask in theirs]
    assert [json.loads(ask.body) for ask in ours] == [json.loads(ask.body) for ask in theirs]


def test_the_client_has_no_call_for_veo_in_the_gemini_api_any_more_but_still_reads_its_operations(
    vendor, tmp_path
):
    client = gemini(f"{vendor.url}/veo")
    with pytest.raises(ValueError, match="not in Gemini Developer API mode"):
        client.models.generate_videos(
            model=VEO.adapter.models[0], source=types.GenerateVideosSource(prompt="A")
        )
    sent = VEO.open(vendor).submit(ASK, "t")
    operation = client.operations.get(types.GenerateVideosOperation(name=sent.receipt["operation"]))
    uri = operation.response.generated_videos[0].video.uri  # the client knows https only
    (tmp_path / "film.mp4").write_bytes(
        client.files.download(file=uri.removesuffix(":download?alt=media").partition("/v1beta/")[2])
    )
    assert round(probe(tmp_path / "film.mp4").duration) == 4


def test_our_adapter_asks_the_gemini_api_about_an_operation_as_the_client_does():
    name = "models/veo-3.1-generate-preview/operations/abc"
    with Loopback(lambda _: Reply(body=json.dumps({"name": name}).encode())) as server:
        client = gemini(server.url)  # it closes when nobody holds it
        client.operations.get(types.GenerateVideosOperation(name=name))
        open_at(VEO.adapter, VEO.own(server.url), server.url).poll([Handle("abc", {"operation": name})])
    theirs, ours = server.asks
    assert essence(ours, "x-goog-api-key") == essence(theirs, "x-goog-api-key")
