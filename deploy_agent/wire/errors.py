"""What can be wrong with bytes from the wire: always the sender's fault.

WireError
  FramingError      not zlib, gzip or XML; cut; over the size limit (TooLargeError)
  XmlError          not well-formed, a DOCTYPE, too deep, not a known encoding
  FieldError        an element or attribute is missing or has a wrong value; carries `field`
"""


class WireError(ValueError):
    """Bytes that do not follow the wire's format."""


class FramingError(WireError):
    """The envelope around the XML is broken."""


class TooLargeError(FramingError):
    """The message is longer than its limit, inflated or not."""


class XmlError(WireError):
    """The XML inside is not acceptable."""


class FieldError(WireError):
    """One field is missing or wrong.

    Attributes:
        field: OCS's name of the element or attribute.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
