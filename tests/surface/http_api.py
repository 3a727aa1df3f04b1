"""The HTTP API: routes, parameters, bodies, responses, refusals, and the events of answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import unpack_from
from typing import Any

import pyarrow as pa

from tests.surface import inside
from tests.surface.live import seen
from tests.surface.noted import COMPLETENESS
from tests.surface.record import keys_of, text_of

Json = dict[str, Any]


def http() -> str:
    document = json.loads(inside.openapi_document())
    sections: dict[str, list[str]] = {
        f"{method.upper()} {path}": list(_operation(about, document))
        for path, methods in document["paths"].items()
        for method, about in methods.items()
    }
    sections["all routes"] = sorted({_route(route) for route in inside.ROUTES})
    sections["kinds of refusals, by status"] = [
        f"{status}: {kind}" for status, kind in sorted(inside.ERROR_KINDS.items())
    ]
    for name, schema in document["components"]["schemas"].items():
        sections[f"schema {name}"] = list(_schema(schema))
    schemes = document["components"]["securitySchemes"]
    sections["security schemes"] = [f"{name}: {_flat(each)}" for name, each in schemes.items()]
    for name, keys in seen().responses.items():
        sections[f"response of {name}"] = sorted(keys)
    return text_of("The HTTP API has these routes, and answers with these keys.", sections)


def _route(route: Any) -> str:
    methods = getattr(route, "methods", None)
    return f"{' '.join(sorted(methods)) if methods else 'WebSocket'} {route.path}"


def _operation(about: Json, document: Json) -> Iterator[str]:
    for each in about.get("parameters", []):
        needed = ", required" if each.get("required") else ""
        yield f"parameter {each['name']} in {each['in']}: {_flat(each['schema'])}{needed}"
    body = about.get("requestBody")
    for media, content in body["content"].items() if body else ():
        yield f"body {media}: {_flat(content['schema'])}"
    for status, response in sorted(about["responses"].items()):
        media = ", ".join(response.get("content", {})) or "nothing"
        yield f"answer {status}: {media}"
    assert document["security"], "tokens are optional"


def _schema(schema: Json) -> Iterator[str]:
    required = schema.get("required", [])
    yield from (f"is {json.dumps(value)}" for value in schema.get("enum", []))
    for name, each in sorted(schema.get("properties", {}).items()):
        needed = ", required" if name in required else ""
        yield f"{name}: {_flat(each)}{needed}"
    if schema.get("additionalProperties") is False:
        yield "(others are refused)"


def _flat(schema: Json) -> str:
    return " ".join(f"{key}={json.dumps(value)}" for key, value in sorted(schema.items()))


def events() -> str:
    """What an answer's readers hear, over the live server, and of every thing that can be said."""
    sections = {name: sorted(keys) for name, keys in seen().events.items()}
    for said in all_said():
        kind = type(said).__name__.lower()
        sections[f"if {kind} is said"] = sorted({*_heard(said)} - {"event-stream: ``"})
    sections["metadata of Arrow batches"] = sorted(_arrow_metadata())
    sections["frames of the protocol, each behind two lengths"] = list(_frames())
    sections["formats"] = sorted(
        f"{name.lower().replace('_', ' ')}: {each.media_type}, {each.name} in logs and metrics"
        for name, each in vars(inside.formats).items()
        if isinstance(each, inside.formats.Kind)
    )
    return text_of("Readers of answers over HTTP hear these events, with this data.", sections)


def all_said() -> tuple[inside.Said, ...]:
    """One of everything that may be said, with all of it known."""
    total = inside.Completeness(0, 1000, gone=(inside.Gone("a@b", 1),))
    answer = inside.messages.Answer(1, 1, closes=True, start_ms=0, end_ms=1, completeness=total)
    window = inside.LiveWindow(_no_layout(), None, answer, inside.Gap(0, 1, 2))
    return (
        inside.Opening("id", 1, "select a", 0, ("careful",), (), windowed=True),
        inside.Numbered(7, inside.Piece(window)),
        inside.Lost(1, 2),
        inside.Beat(),
        inside.Closing("limit", failed=False, total=total, number=8),
    )


def _arrow_metadata() -> Iterator[str]:
    """What the batches of an Arrow stream say beside rows."""
    form = inside.formats.ARROW.make()
    data = b"".join(form.write(said) for said in all_said())
    with pa.ipc.open_stream(data) as reader:
        for each in reader.iter_batches_with_custom_metadata():
            yield from (key.decode() for key in each.custom_metadata)


def _frames() -> Iterator[str]:
    form = inside.formats.FRAMES.make()
    read = inside.codec.to_clients()
    for said in all_said():
        data = form.write(said)
        while data:
            header, payload = unpack_from("<II", data)
            message, _ = read.decode([data[8 : 8 + header]])
            data = data[8 + header + payload :]
            kind = type(said).__name__.lower()
            yield f"if {kind} is said: {message.__struct_config__.tag}"


def _no_layout() -> Any:
    import mql

    return next(iter(mql.run("select count(*) window 1", {"stream": [(1, {})]})))._layout


def _heard(said: inside.Said) -> Iterator[str]:
    for name, number, data in inside.events_of(said):
        again = "without an id" if number is None else "with an id"
        yield f"event {name}, {again}"
        yield from (f"event {name}: {key}" for key in keys_of(json.loads(data), COMPLETENESS))
    for form in ("LINES_WITH_LEDGER", "EVENTS"):
        text = getattr(inside.formats, form).make().write(said).decode()
        for line in text.splitlines():
            if form == "EVENTS":
                word = line.partition(":")[0]
                yield f"event-stream: `{word}:`" if word else f"event-stream: `{line}`"
            else:
                found = keys_of(json.loads(line), COMPLETENESS) if line else ["an empty line"]
                yield from (f"NDJSON: {key}" for key in found)
