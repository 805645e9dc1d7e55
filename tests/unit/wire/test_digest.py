import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.wire.digest import Digest, DigestAlgorithm, DigestEncoding, Hasher
from deploy_agent.wire.errors import FieldError

MD5 = hashlib.md5(b"x", usedforsecurity=False)


def test_hex_is_in_lower_case_and_base64_has_no_padding() -> None:
    assert Digest(DigestAlgorithm.MD5, MD5.digest()).text == MD5.hexdigest()
    spelled = Digest(DigestAlgorithm.MD5, MD5.digest(), DigestEncoding.BASE64).text
    assert not spelled.endswith("=")
    assert base64.b64decode(spelled + "==") == MD5.digest()


@pytest.mark.parametrize("algorithm", ["MD5", "md5", "Md5"])
@pytest.mark.parametrize("encoding", ["Hexa", "hexa", "HEX"])
def test_names_are_read_in_any_case(algorithm: str, encoding: str) -> None:
    assert Digest.parse(MD5.hexdigest().upper(), algorithm, encoding).matches(MD5.digest())


@pytest.mark.parametrize("padding", ["", "=="])
def test_base64_is_read_with_and_without_padding(padding: str) -> None:
    text = base64.b64encode(MD5.digest()).decode().rstrip("=") + padding
    assert Digest.parse(text, "MD5", "Base64").matches(MD5.digest())


@pytest.mark.parametrize(
    ("text", "algorithm", "encoding", "field"),
    [
        ("", "MD5", "Hexa", "DIGEST"),
        ("zz" * 16, "MD5", "Hexa", "DIGEST"),
        (MD5.hexdigest(), "SHA256", "Hexa", "DIGEST"),
        (MD5.hexdigest(), "CRC32", "Hexa", "DIGEST_ALGO"),
        (MD5.hexdigest(), "MD5", "Octal", "DIGEST_ENCODE"),
        ("(((((((", "MD5", "Base64", "DIGEST"),
        # What OCS's own console writes for MD5 and base64: base64 of the hex text.
        (base64.b64encode(MD5.hexdigest().encode()).decode(), "MD5", "Base64", "DIGEST"),
    ],
)
def test_what_is_no_digest_names_its_field(
    text: str, algorithm: str, encoding: str, field: str
) -> None:
    with pytest.raises(FieldError) as caught:
        Digest.parse(text, algorithm, encoding)
    assert caught.value.field == field


@given(
    st.binary(max_size=300),
    st.sampled_from(list(DigestAlgorithm)),
    st.sampled_from(list(DigestEncoding)),
)
def test_every_form_comes_back(
    data: bytes, algorithm: DigestAlgorithm, encoding: DigestEncoding
) -> None:
    hasher = Hasher(DigestAlgorithm)
    hasher.update(data[:100])
    hasher.update(memoryview(data)[100:])
    digest = Digest(algorithm, hasher.raw(algorithm), encoding)
    assert hasher.length == len(data)
    assert Digest.parse(digest.text, algorithm, encoding) == digest
    assert digest.raw == hashlib.new(algorithm.value, data, usedforsecurity=False).digest()
    assert not digest.matches(digest.raw[:-1] + b"\0" * 2)
