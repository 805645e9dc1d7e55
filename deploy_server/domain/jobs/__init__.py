"""Templates of common jobs: a few answers become a filled-in build form.

What a template makes is ordinary: the form shows the command, and whoever builds may change it.
Words are quoted by shlex and subprocess; no command ends in something that hides a failure.
"""

from deploy_server.domain.jobs.catalogue import JOBS, fill_in, find_job
from deploy_server.domain.jobs.job import Job, JobField

__all__ = ["JOBS", "Job", "JobField", "fill_in", "find_job"]
