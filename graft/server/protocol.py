"""The Open Inference Protocol, version 2: what clients of KServe and Triton speak.

    GET  /v2, /v2/health/live, /v2/health/ready         the server
    GET  /v2/models/NAME[/versions/N][/ready]           the model
    POST /v2/models/NAME[/versions/N]/infer             predict

The one input, `images`, is UINT8 `(images, height, width, 3)` as `model.onnx` has it, or BYTES `(images)`: image files,
in JSON as base64. The protocol: https://github.com/kserve/open-inference-protocol. Its binary extension, which Triton's
clients use for inputs: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

import asyncio
import base64
import math
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from graft.model.classifier import Classifier
from graft.model.json_rules import Rule, find_problems, is_object, is_text, is_whole, parse
from graft.predict.rows import row
from graft.server.served_model import Loaded
from graft.server.service import Service, Take
from graft.server.uploads import read_body

HEADER = "inference-header-content-length"      # of the JSON, where binary data follow it
QUICK_JSON, QUICK_BYTES = 20_000, 1_000_000      # larger ones would hold up other requests, and are read in a thread
Images = list[bytes] | list[np.ndarray]
OUTPUTS = {     # key of a row -> its data type
    "label": "BYTES", "probability": "FP32", "is_unknown": "BOOL", "is_unsure": "BOOL", "unknown_score": "FP32",
    "probabilities": "FP32",
}


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the protocol's routes. Errors below /v2 are answered as the protocol wants them: `{"error": reason}`."""
    routes = APIRouter(include_in_schema=False)

    @app.exception_handler(AnyHTTPException)
    async def explain(request: Request, error: AnyHTTPException) -> Response:
        if not request.url.path.startswith("/v2"):
            return await http_exception_handler(request, error)
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        return {"name": "graft", "version": version("graft"), "extensions": ["binary_tensor_data"]}

    @routes.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        service.require_ready()
        return {"ready": True}

    _add_model(routes, service)
    app.include_router(routes)


def _add_model(routes: APIRouter, service: Service) -> None:
    def named(name: str, number: str | None = None) -> Loaded:
        """The model that is served, if it is the one in the request's path."""
        loaded = service.served.now
        own_name, own_number = identity(loaded)
        if (name, number or own_number) != (own_name, own_number):
            raise HTTPException(404, f"the model {name}{f', version {number},' if number else ''} is not served here; "
                                     f"the one that is: {loaded.name}")
        return loaded

    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{number}"):
        @routes.get(path)
        async def metadata(name: str, number: str | None = None) -> dict[str, Any]:
            return describe(named(name, number))

        @routes.get(path + "/ready")
        async def ready(name: str, number: str | None = None) -> dict[str, Any]:
            service.require_ready()
            return {"name": named(name, number).name, "ready": True}

        @routes.post(path + "/infer")
        async def infer(request: Request, name: str, number: str | None = None) -> Response:
            return await service.counted(request, partial(_answer, service, named(name, number), request))


def identity(loaded: Loaded) -> tuple[str, str | None]:
    """The model's name, and its version's number as text; a folder has none."""
    name, _, number = loaded.name.partition("@")
    return name, number or None


def describe(loaded: Loaded) -> dict[str, Any]:
    """The protocol's description of a model."""
    name, number = identity(loaded)
    classes, (height, width) = len(loaded.classifier.class_names), loaded.classifier.image_size
    shapes = {"probabilities": [-1, classes]}
    return {
        "name": name, "versions": [number] if number else [], "platform": "graft",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, height, width, 3]}],
        "outputs": [{"name": each, "datatype": kind, "shape": shapes.get(each, [-1])}
                    for each, kind in OUTPUTS.items()],
    }


async def _answer(service: Service, loaded: Loaded, request: Request, take: Take) -> Response:
    body = await read_body(request, service.limits, take)
    header = request.headers.get(HEADER, "")
    read = partial(read_request, body, header or None, loaded.classifier.image_size, service.limits.images)
    json_bytes = int(header) if header.isdecimal() and len(header) < 9 else len(body)
    is_quick = json_bytes <= QUICK_JSON and len(body) <= QUICK_BYTES        # a thread costs 0.1 ms
    try:
        content, images = read() if is_quick else await asyncio.to_thread(read)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    outcomes = await service.outcomes(request, loaded, images)
    rows = [row("", outcome) for outcome in outcomes]
    service.note(loaded, outcomes, images)
    if problems := [f"image {number}: {each['error']}" for number, each in enumerate(rows) if "error" in each]:
        raise HTTPException(400, "; ".join(problems))
    return JSONResponse(_response(loaded, content, rows))


def _response(loaded: Loaded, content: dict, rows: list[dict]) -> dict[str, Any]:
    name, number = identity(loaded)
    wanted = [each["name"] for each in content.get("outputs") or []] or list(OUTPUTS)
    outputs = [_output(each, rows, loaded.classifier) for each in wanted]
    about = {"model_name": name, "model_version": number, "id": content.get("id")}
    return {key: value for key, value in about.items() if value is not None} | {"outputs": outputs}


def _output(name: str, rows: list[dict], classifier: Classifier) -> dict[str, Any]:
    names, shape, data = classifier.class_names, [len(rows)], [each[name] for each in rows]
    if name == "probabilities":
        shape, data = [len(rows), len(names)], [shares[each] for shares in data for each in names]
    return {"name": name, "datatype": OUTPUTS[name], "shape": shape, "data": data}


def read_request(body: bytes, json_bytes: str | None, image_size: tuple[int, int], most: int) -> tuple[dict, Images]:
    """Read a request for predictions.

    Args:
        json_bytes: the length of the JSON at the beginning of the body, as text; None if it is the whole body.
        image_size: `(height, width)` in pixels of the images in a UINT8 tensor.
        most: images that are allowed.

    Returns:
        The JSON; and the images, each as the bytes of a file or uint8 `(height, width, 3)`.

    Raises:
        ValueError: with everything that is wrong.
    """
    if json_bytes is not None and not (json_bytes.isdecimal() and int(json_bytes) <= len(body)):
        raise ValueError(f"{HEADER}: expected a number of bytes, at most the body's {len(body)}")
    length = len(body) if json_bytes is None else int(json_bytes)
    content = parse(body[:length])
    filled = {"outputs": [], "id": "", "parameters": {}} | content if is_object(content) else content
    if problems := find_problems(filled, _REQUEST):
        raise ValueError("; ".join(problems))
    tensor = content["inputs"][0]
    height, width = image_size
    expected = f"images: expected UINT8 of the shape (images, {height}, {width}, 3), or BYTES of the shape (images)"
    if (tensor["datatype"], tensor["shape"][1:]) not in (("UINT8", [height, width, 3]), ("BYTES", []), ("BYTES", [1])):
        raise ValueError(f"{expected}; received {tensor['datatype']} {tuple(tensor['shape'])}")
    if tensor["shape"][0] > most:
        raise ValueError(f"images: expected at most {most} in one request, received {tensor['shape'][0]}")
    if "data" in tensor:
        return content, _from_json(tensor)
    size = tensor.get("parameters", {}).get("binary_data_size")
    if size != len(body) - length or json_bytes is None:
        raise ValueError("images: expected `data`, or `binary_data_size` bytes after the JSON")
    return content, _from_binary(tensor, body[length:])


def _from_json(tensor: dict) -> Images:
    """The images of a tensor whose values are in the JSON, flat or nested."""
    if tensor["datatype"] == "BYTES":
        texts = [each for part in tensor["data"] for each in (part if isinstance(part, list) else [part])]
        if len(texts) != tensor["shape"][0] or not all(map(is_text, texts)):
            raise ValueError(f"images: expected {tensor['shape'][0]} texts in base64")
        return [base64.b64decode(each, validate=True) for each in texts]
    values = np.asarray(tensor["data"])         # raises ValueError if the lists are of different lengths
    if values.dtype.kind not in "iu" or values.size and not 0 <= values.min() <= values.max() <= 255:
        raise ValueError("images: expected whole numbers from 0 to 255")
    return _split(tensor["shape"], values.astype(np.uint8))


def _from_binary(tensor: dict, data: bytes) -> Images:
    """The images of a tensor whose bytes follow the JSON; each of BYTES after its length in 4 bytes."""
    if tensor["datatype"] == "UINT8":
        return _split(tensor["shape"], np.frombuffer(data, np.uint8))
    files: list[bytes] = []
    while data and len(files) < tensor["shape"][0]:
        end = 4 + int.from_bytes(data[:4], "little")
        files.append(data[4:end])
        data = data[end:]
    if len(files) != tensor["shape"][0]:
        raise ValueError(f"images: expected {tensor['shape'][0]} files, received {len(files)}")
    return files


def _split(shape: list[int], values: np.ndarray) -> list[np.ndarray]:
    if values.size != math.prod(shape):
        raise ValueError(f"images: expected {math.prod(shape)} values for the shape {tuple(shape)}, "
                         f"received {values.size}")
    return list(values.reshape(shape))


def _is_tensor(value: object) -> bool:
    rules: dict[str, Rule] = {
        "name": ("images", lambda name: name == "images"), "datatype": ("a text", is_text),
        "shape": ("sizes", lambda sizes: isinstance(sizes, list) and 1 <= len(sizes) <= 4
                  and all(is_whole(size) and 1 <= size <= 2**31 for size in sizes)),
        "data": ("a list", lambda data: isinstance(data, list)), "parameters": ("an object", is_object),
    }
    filled = {"data": [], "parameters": {}} | value if isinstance(value, dict) else value
    return not find_problems(filled, rules)


def _are_outputs(value: object) -> bool:
    return isinstance(value, list) and all(is_object(each) and each.get("name") in OUTPUTS for each in value)


_REQUEST: dict[str, Rule] = {
    "inputs": ("one input, images, with datatype, shape and data",
               lambda value: isinstance(value, list) and len(value) == 1 and _is_tensor(value[0])),
    "outputs": (f"a list of {{name: …}} with names from {', '.join(OUTPUTS)}", _are_outputs),
    "id": ("a text", lambda value: is_text(value) and value == value.encode(errors="ignore").decode()),
    "parameters": ("an object", is_object),
}
