"""The bodies of Novita's submits: the fields of one model each, with the upstream's names, values and nesting."""

from collections.abc import Mapping
from typing import Any

from generations.api.novita_names import body_name
from generations.catalog import video_models
from generations.catalog.request_fields import RequestField, write_path
from generations.catalog.video_models import VideoModel
from seedance_service.docs.openapi import field_schemas
from seedance_service.docs.openapi.field_schemas import Part, Values


class Leaf(dict[str, Any]):
    """The schema of a value, where other objects of a tree are names with what is below them."""

    is_required: bool


class WireBody:
    """The schema of one model's body. `named` has the schemas to which it refers, by name."""

    def __init__(self, model: VideoModel) -> None:
        self.named: dict[str, Part] = {}
        self._model, self._name = model, body_name(model)
        tree: dict[str, Any] = {}
        for field in model.row.fields:
            if field.presence == "forbidden":
                write_path(tree, [field.name], _leaf(field_schemas.NULL, is_required=False))
        for name, request_field in model.fields.items():
            if request_field.path:
                write_path(tree, request_field.path, self._field(name, request_field))
        for derived in model.row.derived:
            values = [value for row in derived.table.values() for value in row.values()]
            fields = [model.fields[name] for name in derived.from_]
            schema = self._enum(derived.wire.replace(".", "_"), values)
            is_required = any(field.is_required for field in fields)
            defaults = [field.default for field in fields]
            default = None if None in defaults else derived.table[str(defaults[0])][str(defaults[1])]
            write_path(tree, derived.wire.split("."), _leaf(schema, is_required=is_required, default=default))
        self.schema = self._object(tree, self._name)

    def _field(self, name: str, field: RequestField) -> Leaf:
        if field.is_enum:
            schema = self._enum(name, [field.to_wire(value) for value in field.row.enum])
        else:
            schema = field_schemas.plain([field])
        facts = [field.row.help, f"{_sentence(field_schemas.takes(self._model, field))}" if field.is_image else ""]
        default = None if field.default is None else field.to_wire(field.default)
        return _leaf(schema, is_required=field.is_required, text=" ".join(filter(None, facts)), default=default)

    def _enum(self, name: str, values: Values) -> Part:
        """Return a reference to an enum. Models that take the default model's values share its enum."""
        shared = video_models.default().fields.get(name)
        shared_values = [shared.to_wire(value) for value in shared.row.enum] if shared else []
        owner = "Novita" if list(values) == shared_values else self._name.removesuffix("Create")
        self.named[f"{owner}{field_schemas.camel(name)}"] = field_schemas.enum(name, values)
        return field_schemas.reference(f"{owner}{field_schemas.camel(name)}")

    def _object(self, tree: Mapping[str, Any], name: str) -> Part:
        """Return the schema of an object. An object in it has a schema of its own, and is required if a value is."""
        properties, required = dict[str, Part](), list[str]()
        for key, below in tree.items():
            if isinstance(below, Leaf):
                properties[key], is_required = dict(below), below.is_required
            else:
                inner = f"{name.removesuffix('Create')}{field_schemas.camel(key)}"
                self.named[inner] = self._object(below, inner)
                is_required = bool(self.named[inner].get("required"))
                own = field_schemas.reference(inner)
                properties[key] = own if is_required else field_schemas.nullable(own)
            required += [key] if is_required else []
        schema: Part = {"type": "object", "properties": properties}
        return {**schema, "required": sorted(required)} if required else schema


def _leaf(schema: Part, *, is_required: bool, text: str = "", default: Any = None) -> Leaf:
    value = field_schemas.default(default)
    described = " ".join(filter(None, [text, f"Default: {value}." if value else ""]))
    is_nullable = not is_required and schema is not field_schemas.NULL
    leaf = Leaf(field_schemas.nullable(schema) if is_nullable else schema)
    leaf.update({"description": described} if described else {})
    leaf.is_required = is_required
    return leaf


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""
