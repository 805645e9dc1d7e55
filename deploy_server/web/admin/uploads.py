"""Uploads as a resource: begin one, send bytes from an offset, ask how far it is.

POST /uploads with name and length gives its address; PUT there with `Upload-Offset` and the bytes;
a broken connection keeps what arrived, GET tells the offset to go on from, and GET of `built` below
that address how much of it a package was built from. `Upload-Digest` has the SHA-256 of the bytes
from an offset to the end of what is sent: it is compared with what lies on the disk then, and what
is wrong is not kept.

Shape: Upload-Digest: from=16777216; sha-256=<64 hex digits>
"""

import re

from flask import Blueprint, Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import BadMessage, NotFound
from deploy_server.storage.uploads import Proof, Upload
from deploy_server.web.progress import built
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import large_body, person
from deploy_server.web.services import services
from deploy_server.web.uploading import pieces_of_body, uploads

_DIGEST = re.compile(r"from=([0-9]{1,18}); sha-256=([0-9a-f]{64})\Z", re.ASCII)

blueprint = Blueprint("uploads", __name__, url_prefix="/uploads")


@blueprint.post("")
@needs(Right.BUILD)
def begin() -> ResponseReturnValue:
    """Make an empty upload; those that were forgotten go meanwhile."""
    store = uploads()
    store.sweep(services().now())
    length = _number(request.form.get("length", ""), "length")
    upload = store.begin(person().id, request.form.get("name", ""), length)
    response = _state(upload)
    response.status_code = 201
    response.headers["Location"] = url_for(".show", upload_id=upload.id)
    return response


@blueprint.get("/<upload_id>")
@needs(Right.BUILD)
def show(upload_id: str) -> ResponseReturnValue:
    """Say how far an upload is."""
    return _state(uploads().get(upload_id, person().id))


@blueprint.get("/<upload_id>/built")
@needs(Right.BUILD)
def show_built(upload_id: str) -> ResponseReturnValue:
    """Say how many bytes a package was built from; 204 without a body when the upload is gone.

    It goes the moment the package is there, which is no error of the page that asks.
    """
    try:
        upload = uploads().get(upload_id, person().id)
    except NotFound:
        return Response(status=204)
    return jsonify(length=upload.length, built=built(upload))


@blueprint.put("/<upload_id>")
@needs(Right.BUILD)
@large_body
def append(upload_id: str) -> ResponseReturnValue:
    """Take bytes from the offset on that the sender names."""
    store = uploads()
    upload = store.get(upload_id, person().id)
    offset = _number(request.headers.get("Upload-Offset", ""), "Upload-Offset")
    proof = _proof(request.headers.get("Upload-Digest", ""), offset)
    return _state(store.append(upload, offset, pieces_of_body(), proof))


@blueprint.delete("/<upload_id>")
@needs(Right.BUILD)
def delete(upload_id: str) -> ResponseReturnValue:
    """Remove an upload that is not wanted any more."""
    store = uploads()
    store.delete(store.get(upload_id, person().id))
    return Response(status=204)


def _state(upload: Upload) -> Response:
    return jsonify(
        id=upload.id,
        name=upload.name,
        length=upload.length,
        offset=upload.offset,
        complete=upload.complete,
        url=url_for("console.uploads.show", upload_id=upload.id),
    )


def _proof(text: str, offset: int) -> Proof | None:
    if not text:
        return None
    found = _DIGEST.match(text)
    if found is None or int(found[1]) > offset:
        raise BadMessage(
            f"Upload-Digest is {text[:100]!r}",
            hint="It has to be: from=OFFSET; sha-256=64 hex digits, from an offset that is here",
        )
    return Proof(int(found[1]), found[2])


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadMessage(f"{name} is {text[:40]!r}", hint="It has to be a number of bytes")
    return int(text)
