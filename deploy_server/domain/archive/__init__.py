"""Which files may become packages, told by their bytes and never by their name.

Zip for Windows, tar.gz for Linux and macOS, either for any system; other archives are refused,
and any other single file has to be wrapped. An archive is read as an agent will read it, so that
what no agent could unpack is refused once here instead of on every computer. Memory and time are
bounded by the size of the archive; nothing is written.
"""

from deploy_server.domain.archive.contents import Contents, Limits
from deploy_server.domain.archive.recognise import HEAD, Kind, accept, accept_single, recognise
from deploy_server.domain.archive.tar import TarCheck
from deploy_server.domain.archive.zip import check_zip

__all__ = [
    "HEAD",
    "Contents",
    "Kind",
    "Limits",
    "TarCheck",
    "accept",
    "accept_single",
    "check_zip",
    "recognise",
]
