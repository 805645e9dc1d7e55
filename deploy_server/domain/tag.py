"""What a valid TAG is: the word by which people sort computers and limit each other. Pure."""

from deploy_server.domain.errors import SpecError

TAG_MAX = 255  # characters

#: What OCS's server answers, and its agents keep, for a computer without a tag.
NO_TAG = "NA"


def check_tag(text: str) -> str:
    """Return a tag with single spaces; '' takes the tag away.

    Raises:
        SpecError: field `tag`.
    """
    tag = " ".join(text.split())
    if len(tag) > TAG_MAX:
        raise SpecError("tag", f"the tag is longer than {TAG_MAX} characters", "Shorten it")
    if not tag.isprintable():
        raise SpecError("tag", "the tag holds unseen characters", "Type it again")
    if tag == NO_TAG:
        raise SpecError(
            "tag", "NA is what agents of OCS say when they have no tag", "Choose another, or none"
        )
    return tag
