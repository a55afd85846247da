"""The licence policy as briefs ask for it: by name, by its fields, or a name that its fields narrow."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate, validates_schema

from core.licences import POLICIES, LicenceClass

LICENCE_CLASSES = tuple(kind.value for kind in LicenceClass)


class BriefSchema(Schema):
    class Meta:
        unknown = RAISE


class StrictBoolean(fields.Boolean):
    """`true` or `false`; a "yes" or a 1 is a mistake somewhere."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> bool:  # noqa: ARG002
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class LicencePolicySchema(BriefSchema):
    """A `policy` by name, which the other fields may narrow; or those fields alone."""

    policy = fields.String(
        validate=validate.OneOf(list(POLICIES)),
        load_default=None,
        allow_none=True,
        metadata={
            "description": "`commercial` (the default): the film may be sold. `non-commercial`: it may not, "
            "so works for non-commercial use are taken too. `public-domain-only`: nothing that asks for a "
            "duty. Null where the other fields say something that none of these is."
        },
    )
    allow = fields.List(
        fields.String(validate=validate.OneOf(LICENCE_CLASSES)),
        validate=validate.Length(min=1),
        metadata={
            "description": "Classes of licences that are taken; what the policy says unless given. `custom` "
            "(unread, no derivatives, GFDL) is in no policy: give it without one."
        },
    )
    share_alike = StrictBoolean(
        metadata={
            "description": "Take share-alike works (the film inherits the duty); what the policy says unless "
            "given."
        }
    )
    commercial = StrictBoolean(
        metadata={
            "description": "The film earns money: non-commercial works are out; what the policy says "
            "unless given."
        }
    )

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        name = data.get("policy")
        for field, wrong in _contradictions(name, data).items() if name else ():
            raise ValidationError(f"The policy `{name}` {wrong}. Leave out one of the two.", field)

    @post_load
    def fill(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Write every field out, and the policy's name where the fields are within the default one."""
        name = data.get("policy") or ("commercial" if not _contradictions("commercial", data) else None)
        preset = POLICIES[name or "commercial"]
        return {
            "policy": name,
            "allow": data.get("allow", sorted(preset.allow, key=list(LicenceClass).index)),
            "share_alike": data.get("share_alike", preset.allow_share_alike),
            "commercial": data.get("commercial", preset.commercial),
        }


def _contradictions(name: str, data: dict[str, Any]) -> dict[str, str]:
    """Fields that ask for more than a policy gives, and what it says of them."""
    preset = POLICIES[name]
    found = {}
    if beyond := sorted({str(one) for one in data.get("allow", ())} - {str(one) for one in preset.allow}):
        found["allow"] = f"takes no works that are {', '.join(beyond)}"
    if data.get("share_alike") and not preset.allow_share_alike:
        found["share_alike"] = "takes no share-alike works"
    if data.get("commercial", preset.commercial) != preset.commercial:
        found["commercial"] = f"means `commercial` {str(preset.commercial).lower()}"
    return found
