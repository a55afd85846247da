"""flask-smorest in this house's manner: problem+json everywhere, strict bodies, function views."""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import marshmallow as ma
from apispec.ext.marshmallow.common import make_schema_key
from flask import Request
from flask_smorest import Api as SmorestApi
from flask_smorest import Blueprint as SmorestBlueprint
from flask_smorest.utils import prepare_response
from webargs.flaskparser import FlaskParser, is_json_request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.schemas.base import shared
from app.schemas.problem import ProblemOut

View = TypeVar("View", bound=Callable[..., Any])
PROBLEM = "application/problem+json"


class Parser(FlaskParser):
    """Refuses unknown fields, bodies that are not JSON, and text that no database can store."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 - webargs reads it from the class
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
        "multipart": ma.RAISE,
    }
    __location_map__ = {  # noqa: RUF012 - webargs reads it from the class
        **FlaskParser.__location_map__,
        "multipart": "load_multipart",
    }

    def use_args(self, argmap: Any, *args: Any, **options: Any) -> Any:
        """As webargs', with one instance of a schema for all requests."""
        return super().use_args(shared(argmap) if isinstance(argmap, type) else argmap, *args, **options)

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body:
            raise BadRequest("The body is missing: send JSON.")
        if not is_json_request(req):
            raise UnsupportedMediaType("Send the body as application/json.")
        try:
            value = json.loads(body.decode(), parse_constant=_refuse_constant)
            _check_storable(value)
        except UnicodeDecodeError as error:
            raise BadRequest("The body is not UTF-8.") from error
        except json.JSONDecodeError as error:
            raise BadRequest(f"The body is not JSON: {error.msg} at line {error.lineno}.") from error
        except RecursionError as error:
            raise BadRequest("The body is nested too deeply.") from error
        except ValueError as error:  # an integer of thousands of digits
            raise BadRequest(f"The body cannot be read: {error}.") from error
        return value

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        for name in req.args:
            _check_storable([name, *req.args.getlist(name)])
        return super().load_querystring(req, schema)

    def load_multipart(self, req: Request, schema: ma.Schema) -> Any:
        """Form fields and files of one multipart body, together."""
        if req.mimetype != "multipart/form-data":
            raise UnsupportedMediaType("Send the body as multipart/form-data.")
        for name in req.form:
            _check_storable([name, *req.form.getlist(name)])
        return self._makeproxy(MultiDict([*req.form.items(multi=True), *req.files.items(multi=True)]), schema)


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not a JSON number.")


def _check_storable(value: Any) -> None:
    """Refuse NUL and unpaired surrogates, which PostgreSQL's text cannot hold."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item or any("\ud800" <= c <= "\udfff" for c in item):
                raise BadRequest("Text must not contain NUL characters or unpaired surrogates.")
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


class Api(SmorestApi):
    ERROR_SCHEMA = ProblemOut

    def _init_spec(self, **options: Any) -> None:
        super()._init_spec(**options)
        self.spec.components.security_scheme(
            "apiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        )
        self.spec.components.security_scheme("bearerKey", {"type": "http", "scheme": "bearer"})

    def _register_responses(self) -> None:
        """Document every error as a problem; smorest's own says `application/json`."""
        for status in http.HTTPStatus:
            answer: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                answer["schema"] = self.ERROR_SCHEMA
            prepare_response(answer, self.spec, PROBLEM)
            self.spec.components.response(status.name, answer, lazy=True)
        answer = {"description": "An error", "schema": self.ERROR_SCHEMA}
        prepare_response(answer, self.spec, PROBLEM)
        self.spec.components.response("DEFAULT_ERROR", answer, lazy=True)

    def _register_error_handlers(self) -> None:
        """app/errors.py has them."""

    def union(self, schema: type[ma.Schema], by: str, variants: Mapping[str, type[ma.Schema]]) -> None:
        """Document `schema` as one of `variants`, told apart by the field `by`."""
        converter = self.ma_plugin.converter
        names = {}
        for value, variant in variants.items():
            name = converter.schema_name_resolver(variant)
            if name not in self.spec.components.schemas:
                self.spec.components.schema(name, schema=variant)
            names[value] = f"#/components/schemas/{name}"
        name = converter.schema_name_resolver(schema)
        self.spec.components.schema(
            name,
            {
                "oneOf": [{"$ref": ref} for ref in names.values()],
                "discriminator": {"propertyName": by, "mapping": names},
            },
        )
        converter.refs[make_schema_key(schema())] = name


class Blueprint(SmorestBlueprint):
    """One resource. GET needs the scope `read`, everything else `write`, unless marked."""

    ARGUMENTS_PARSER = Parser()
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING = {  # noqa: RUF012 - smorest reads it from the class
        **SmorestBlueprint.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING,
        "multipart": "multipart/form-data",
    }


def public(view: View) -> View:
    """Let this view be called without a key."""
    return _marked(view, None, [])


def needs(scope: str) -> Callable[[View], View]:
    """Have this view ask for another scope than its method implies."""
    return lambda view: _marked(view, scope, None)


def by_link(view: View) -> View:
    """Let this view be called with the signed link of an upload, in place of a key."""
    view._by_link = True  # type: ignore[attr-defined]  # noqa: SLF001
    token = {"in": "query", "name": "token", "description": "The signed link's, instead of a key."}
    documented: View = SmorestBlueprint.doc(parameters=[token | {"schema": {"type": "string"}}])(view)
    return documented


def _marked(view: View, scope: str | None, security: list[Any] | None) -> View:
    view._scope = scope  # type: ignore[attr-defined]  # noqa: SLF001
    if security is not None:
        documented: View = SmorestBlueprint.doc(security=security)(view)
        return documented
    return view
