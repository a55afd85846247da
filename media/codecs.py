"""How the pictures of a cleaned clip are encoded: by the codec they had, near to transparent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from media.encoding import rate
from media.ingest import Facts

CRF = 16
"""x264's scale: what is encoded again looks like what it was decoded from."""
# Not 4:4:4: decoders read what x264 made of it before build 151 in another way, by a mark in the stream.
_SPLICED = {
    "Baseline": "baseline", "Constrained Baseline": "baseline", "Main": "main", "High": "high",
    "High 10": "high10", "High 4:2:2": "high422",
}  # fmt: skip
_SAME_NAME = {"ffv1", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "v210", "png"}
_BY_QSCALE = {"mpeg4": "mpeg4", "msmpeg4v3": "msmpeg4", "mpeg2video": "mpeg2video", "mjpeg": "mjpeg"}
_PRORES = {"apco": "0", "apcs": "1", "apcn": "2", "apch": "3", "ap4h": "4", "ap4x": "5"}


@dataclass(frozen=True)
class ParameterSets:
    """An avcC record (ISO/IEC 14496-15 5.3.3.1), taken apart."""

    head: bytes
    sequence: tuple[bytes, ...]
    picture: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def read(cls, record: bytes) -> ParameterSets:
        at = 5
        lists: list[tuple[bytes, ...]] = []
        for mask in (31, 255):
            count, units = record[at] & mask, []
            at += 1
            for _ in range(count):
                size = int.from_bytes(record[at : at + 2], "big")
                units.append(record[at + 2 : at + 2 + size])
                at += 2 + size
            lists.append(tuple(units))
        return cls(record[:5], lists[0], lists[1], record[at:])

    def with_more(self, annex_b: bytes) -> bytes:
        """Put an encoder's sets after these; the record's level is the higher of the two."""
        units = [u.rstrip(b"\x00") for u in annex_b.split(b"\x00\x00\x01")[1:]]
        sequence = [*self.sequence, *(u for u in units if u[0] & 31 == 7)]
        picture = [*self.picture, *(u for u in units if u[0] & 31 == 8)]
        level = max(u[3] for u in sequence)
        lists = (bytes([len(sequence) | 0xE0]), sequence), (bytes([len(picture)]), picture)
        body = b"".join(
            count + b"".join(len(u).to_bytes(2, "big") + u for u in units) for count, units in lists
        )
        return self.head[:3] + bytes([level]) + self.head[4:] + body + self.tail

    def free_id(self) -> int | None:
        """Give a number that none of these sets has."""
        taken = {_exp_golomb(u[4:]) for u in self.sequence} | {_exp_golomb(u[1:]) for u in self.picture}
        return next((n for n in range(31, -1, -1) if n not in taken), None)


def _exp_golomb(data: bytes) -> int:
    bits = int.from_bytes(data[:8].ljust(8, b"\x00"), "big")
    zeros = 64 - bits.bit_length()
    return (bits >> (63 - 2 * zeros)) - 1


def lengths_of(facts: Facts) -> int:
    """Bytes of the length before each NAL unit; 0 where packets have start codes."""
    record = facts.extradata
    return (record[4] & 3) + 1 if facts.codec == "h264" and len(record) > 6 and record[0] == 1 else 0


def encoding(facts: Facts, *, splice: bool, reorder: int, preset: str) -> dict[str, Any]:
    """Say how to encode, the best way first.

    `reorder` is by how many frames the clip's times of decoding allow frames to be out of order.
    """
    ways: list[dict[str, Any]] = []
    own = _own_way(facts, splice=splice, reorder=reorder, preset=preset)
    if own is not None:
        ways.append({"encoder_fmt": facts.pix_fmt, "codec": facts.codec, **own})
    if not splice:
        h264 = {"encoder": "libx264", "codec": "h264", "options": _x264(reorder, preset)}
        ways += [{**h264, "encoder_fmt": fmt} for fmt in (facts.pix_fmt, facts.planes, "yuv420p")]
    exact = rate(facts.fps) if 1 <= facts.fps <= 1000 else Fraction(25)
    return {
        "size": [facts.width, facts.height],
        "pix_fmt": facts.planes,
        "deep": 2 if facts.deep else 1,
        "rate": [exact.numerator, exact.denominator],
        "threads": 2,
        "colours": facts.colours,
        "aspect": f"{facts.aspect.numerator}/{facts.aspect.denominator}",
        "interlaced": facts.interlaced,
        "global_header": facts.format != "avi",
        "ways": ways,
    }


def fits_beside(facts: Facts) -> bool:
    """Whether what is encoded here can stand beside packets that are copied."""
    if facts.codec != "h264":
        return _own_way(facts, splice=False, reorder=0, preset="veryfast") is not None
    return facts.profile in _SPLICED and ParameterSets.read(facts.extradata).free_id() is not None


def _own_way(facts: Facts, *, splice: bool, reorder: int, preset: str) -> dict[str, Any] | None:
    codec, tag = facts.codec, facts.tag
    if codec == "h264":
        options = _x264(reorder, preset)
        names = {"display": "mastering-display", "light": "cll"}
        options["x264-params"] += "".join(f":{names[k]}={v}" for k, v in facts.light.items())
        if facts.interlaced:
            options["x264-params"] += ":tff=1"
        if splice:
            free = ParameterSets.read(facts.extradata).free_id()
            options |= {"profile": _SPLICED[facts.profile], "level": str(facts.level)}
            options["x264-params"] += f":sps-id={free}"
        return {"encoder": "libx264", "options": options}
    if codec == "hevc":
        order = f"bframes={3 if reorder else 0}:b-pyramid={int(reorder > 1)}"
        names = {"display": "master-display", "light": "max-cll"}
        light = "".join(f":{names[k]}={v}" for k, v in facts.light.items())
        params = f"{order}:open-gop=0:log-level=none:pools=2{light}"
        return {
            "encoder": "libx265",
            "options": {"preset": "superfast", "crf": str(CRF + 1), "x265-params": params},
        }
    if codec.startswith(("vp9", "libvpx-vp9")):
        live = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "lag-in-frames": "0"}
        return {"encoder": "libvpx-vp9", "options": live | {"crf": "14", "b": "0", "auto-alt-ref": "0"}}
    if codec.startswith(("vp8", "libvpx")):
        live = {"deadline": "realtime", "cpu-used": "4", "lag-in-frames": "0", "auto-alt-ref": "0"}
        return {"encoder": "libvpx", "options": live | {"crf": "4", "b": "50M"}}
    if codec in {"av1", "libdav1d"}:
        return {"encoder": "libsvtav1", "options": {"preset": "10", "crf": "18"}}
    if codec == "prores":
        return {"encoder": "prores_ks", "options": {"profile": _PRORES.get(tag, "3"), "vendor": "apl0"}}
    if codec in _BY_QSCALE:
        return {"encoder": _BY_QSCALE[codec], "qscale": 2, "options": {"bf": "0"}}
    if codec in _SAME_NAME:
        return {"encoder": codec, "options": {}}
    return None


def _x264(reorder: int, preset: str) -> dict[str, str]:
    pyramid = "normal" if reorder > 1 else "none"
    return {
        "preset": preset,
        "crf": str(CRF),
        "bf": str(3 if reorder else 0),
        "x264-params": f"stitchable=1:open-gop=0:sync-lookahead=0:b-pyramid={pyramid}",
    }
