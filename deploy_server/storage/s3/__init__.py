"""Packages, and uploads on their way to one, in a bucket of an S3-compatible object store.

An object is there whole or not at all, and there are no folders to rename: what a local disk does
with renames is done here with one small object that names the right folder (fragments.py).
"""

from deploy_server.storage.s3.bucket import Bucket
from deploy_server.storage.s3.fragments import S3FragmentStore
from deploy_server.storage.s3.uploads import S3UploadStore

__all__ = ["Bucket", "S3FragmentStore", "S3UploadStore"]
