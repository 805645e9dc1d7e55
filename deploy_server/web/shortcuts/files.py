"""Whole fragments and their lists on the short way; whatever else is asked goes through Flask.

Which files there are and how they are sent is web/files.py's.
"""

import time
from functools import cache

from deploy_server.domain.errors import DeployError, NotFound
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.fragments import FragmentStore
from deploy_server.web.errors import told_to_machines
from deploy_server.web.files import (
    FRAGMENT,
    FRAGMENT_LIST,
    INFO,
    FileKind,
    kind_of,
    told_to_strangers,
)
from deploy_server.web.gateway.answer import Answer, Headers
from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.observing import Watch
from deploy_server.web.shortcuts.asking import answer, header, who

_FOLDER = "/download/"
_COUNTED = {INFO: "info", FRAGMENT: "fragment", FRAGMENT_LIST: "fragment_list"}
_NOSNIFF = (b"x-content-type-options", b"nosniff")

#: Bytes of a file that is read here: to have the server open it costs more than to hand it over.
_AT_ONCE = 128 * 1024


class FileShortcut:
    """Answers GET of whole files that lie on this machine.

    Args:
        store: where they are.
        watch: where requests are counted.
    """

    name = "file"
    threads = 4  # they wait for the disk

    def __init__(self, store: FragmentStore, watch: Watch) -> None:
        self._store = store
        self._watch = watch

    def takes(self, scope: Scope, length: int) -> bool:
        """Whether a request is for here; `length` of its body, in bytes."""
        asked = asked_for(scope, length)
        if asked is None or asked[2] is INFO:
            return False
        return self._store.path(asked[0], asked[1]) is not None

    def is_long(self, _body: bytes) -> bool:
        """Whether it takes long to read; there is nothing to read."""
        return False

    def open(self, scope: Scope, _body: bytes) -> Answer:
        """Return the file, or why it is not there."""
        began = time.perf_counter()
        _, number = who(scope, self._watch)
        package, _, name = scope["path"].removeprefix(_FOLDER).partition("/")
        kind = kind_of(package, name) or FRAGMENT
        try:
            made, size = self._whole(int(package), name, kind)
        except DeployError as error:
            path = scope["path"]
            status, text = told_to_machines(told_to_strangers(error, path), f"GET {path}")
            plain = [(b"content-type", b"text/plain; charset=utf-8"), _NOSNIFF]
            made, size = answer(status, text.encode(), plain, number), len(text)
        made.request_id = number
        self._watch.row.count(_COUNTED[kind], made.status, time.perf_counter() - began, size)
        return made

    def _whole(self, package: int, name: str, kind: FileKind) -> tuple[Answer, int]:
        path = self._store.path(package, name)
        with storage_errors(f"{name} of package {package} cannot be read"):
            if path is None or not path.is_file():
                raise NotFound(f"package {package} has no file {name}")
            size = path.stat().st_size
            if size <= _AT_ONCE:
                data = path.read_bytes()
                return answer(200, data, headers_of(kind), ""), len(data)
        made = Answer(200, [(b"content-length", b"%d" % size), *headers_of(kind)])
        made.file = str(path)
        return made, size


def asked_for(scope: Scope, length: int) -> tuple[int, str, FileKind] | None:
    """Return package, name and kind of the whole file that is asked for; None for other requests.

    Args:
        scope: of the request.
        length: of its body, in bytes.
    """
    path: str = scope["path"]
    if scope["method"] != "GET" or length or not path.startswith(_FOLDER):
        return None
    package, _, name = path.removeprefix(_FOLDER).partition("/")
    kind = kind_of(package, name)
    if kind is None or header(scope, b"range"):
        return None
    return int(package), name, kind


@cache
def headers_of(kind: FileKind) -> Headers:
    """Return the headers of every answer with such a file."""
    return [(name.lower().encode(), each.encode()) for name, each in kind.headers()]
