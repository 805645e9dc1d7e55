"""Which stores a server's configuration means."""

from functools import cache
from typing import TYPE_CHECKING

from deploy_server.config import ServerConfig
from deploy_server.domain.bucket import BucketAddress
from deploy_server.storage.fragments import FragmentStore, LocalFragmentStore
from deploy_server.storage.locks import Locks, locks_for
from deploy_server.storage.uploads import Uploads, UploadStore

if TYPE_CHECKING:
    from deploy_server.storage.s3 import Bucket


def fragment_store(config: ServerConfig) -> FragmentStore:
    """Return where packages are."""
    if config.bucket is None:
        return LocalFragmentStore(config.download, config.staging, config.min_free_bytes)
    # Only here: who keeps packages on a disk needs nothing of it.
    from deploy_server.storage.s3 import S3FragmentStore

    return S3FragmentStore(
        bucket_at(config.bucket), shared_locks(config), config.staging, config.min_free_bytes
    )


def upload_store(config: ServerConfig) -> Uploads:
    """Return where uploads are: with the packages, so that all hosts that have these have those."""
    if config.bucket is None:
        return UploadStore(config.uploads, config.max_package_bytes, config.min_free_bytes)
    from deploy_server.storage.s3 import S3UploadStore

    return S3UploadStore(bucket_at(config.bucket), shared_locks(config), config.max_package_bytes)


def shared_locks(config: ServerConfig) -> Locks:
    """Return the locks of everybody who works with the same packages."""
    return locks_for(config.database_url, config.staging)


@cache
def bucket_at(address: BucketAddress) -> "Bucket":
    """Return this process's way to a bucket: one, so that connections are used again."""
    from deploy_server.storage.s3 import Bucket

    return Bucket(address)
