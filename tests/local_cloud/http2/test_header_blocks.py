"""Header blocks, held against the hpack library."""

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_cloud.server.http2.frames import COMPRESSION_ERROR, ConnectionFault
from local_cloud.server.http2.header_blocks import NO_TABLE, Decoder, encode

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
NAMES = st.sampled_from([b":path", b"te", b"user-agent", b"grpc-timeout", b"x-a", b"x-b", b"authorization"])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300), st.booleans()), max_size=8)
SIZES = st.one_of(st.none(), st.sampled_from([0, 40, 100, 4096]))


@QUICK
@given(st.lists(st.tuples(FIELDS, SIZES, st.booleans()), max_size=8))
def test_what_hpack_encodes_is_read_however_its_table_fares(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], int | None, bool]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(65536)
    for fields, size, huffman in blocks:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(2):  # the second time it may be remembered
            block = encoder.encode(fields, huffman=huffman)
            assert decoder.decode(block).fields == [(name, value) for name, value, _ in fields]


@QUICK
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_rubbish_is_read_as_hpack_reads_it_or_refused(blocks: list[bytes]) -> None:
    ours, theirs = Decoder(65536), hpack.Decoder()
    for block in blocks:
        try:
            expected = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(ConnectionFault) as caught:
                ours.decode(block)
            assert caught.value.code == COMPRESSION_ERROR
            return  # after that the connection is over
        assert ours.decode(block).fields == expected


@QUICK
@given(st.lists(st.tuples(st.text("abc-", min_size=1, max_size=200), st.binary(max_size=70_000)), max_size=4))
def test_what_is_written_reads_back_and_enters_no_table(fields: list[tuple[str, bytes]]) -> None:
    decoder = hpack.Decoder(max_header_list_size=10**6)
    expected = [(name.encode(), value) for name, value in fields]
    assert decoder.decode(encode(fields), raw=True) == expected
    assert decoder.decode(NO_TABLE + encode(fields), raw=True) == expected
    assert not decoder.header_table.dynamic_entries


def test_a_list_that_is_too_long_is_cut_and_the_table_kept_right() -> None:
    encoder, decoder = hpack.Encoder(), Decoder(300)
    head = decoder.decode(encoder.encode([("x-long", "y" * 400), ("x-short", "z")]))
    assert (head.fields, head.too_long) == ([], True)
    head = decoder.decode(encoder.encode([("x-short", "z")]))
    assert (head.fields, head.too_long) == ([(b"x-short", b"z")], False)


def test_a_small_block_cannot_stand_for_endless_headers() -> None:
    encoder, decoder = hpack.Encoder(), Decoder(65536)
    decoder.decode(encoder.encode([("x-bomb", "y" * 4000)]))
    head = decoder.decode(b"\xbe" * 100_000)
    assert head.too_long
    assert len(head.fields) < 20
