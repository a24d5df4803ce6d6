"""Rows of each format, exactly as they stand in the file, however its bytes are cut into pieces."""

import gzip
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.uploads import formats, stream
from metering.uploads.rows import BadRow, UnreadableFile


def opened(content, *, size=1024, most=None):
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return stream.opened(stream.Pieces(pieces), most=most)


def rows_of(content, **options):
    """The rows with JSON values decoded."""
    file = opened(content, **options)
    return [
        row if isinstance(row, BadRow) else {name: value_of(value) for name, value in row.items()}
        for row in formats.rows(file, formats.format_of(file))
    ]


def value_of(value):
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n", "CSV"),
        (b"\xef\xbb\xbfa;b\n1;2\n", "CSV"),
        (b"<5 ms,b\n1,2\n", "CSV"),
        (b' {"a": 1}\n', "NDJSON"),
        (b'\xef\xbb\xbf[{"a": 1}]', "JSON"),
        (b'{ "events" : [{"a": 1}]}', "JSON"),
        (b"<?xml version='1.0'?><r/>", "XML"),
        (b"<usage><event/></usage>", "XML"),
        (gzip.compress(b"<usage/>", mtime=0), "XML"),
    ],
)
def test_a_format_is_told_by_how_the_file_begins(content, expected):
    assert formats.format_of(opened(content)) == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_read_by_its_heading_whatever_stands_between_the_cells(delimiter):
    text = 'customer,text\nacme,"a, b"\n\nbeta,"two\nlines"\ngamma\n'
    if delimiter != ",":
        text = text.replace("customer,", f"customer{delimiter}").replace(
            "acme,", f"acme{delimiter}"
        )
        text = text.replace("beta,", f"beta{delimiter}")
    assert rows_of(text.encode()) == [
        {"customer": "acme", "text": "a, b"},
        {"customer": "beta", "text": "two\nlines"},
        {"customer": "gamma", "text": ""},
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_cells():
    assert rows_of(b"\xef\xbb\xbfa,b\r\n1,2\r\n") == [{"a": "1", "b": "2"}]


def test_a_row_with_more_cells_than_the_heading_is_one_bad_row():
    _, bad, good = rows_of(b"a,b\n1,2\n1,2,3\n1,2,\n")
    assert bad == BadRow("1,2,3", "the row has 3 cells, the heading 2")
    assert good == {"a": "1", "b": "2"}


def test_ndjson_names_its_bad_lines_and_reads_on():
    content = b'{"a": 1.50}\n\nnot json\n{"a": "\xff"}\n[1]\n{"a": null}'
    rows = rows_of(content)
    assert [isinstance(row, BadRow) for row in rows] == [False, True, True, True, False]
    assert rows[1].text == "not json\n"


def test_numbers_of_json_keep_each_digit():
    (line,) = formats.rows(opened(b'{"q": 1.10000000000000000000}'), "NDJSON")
    (element,) = formats.rows(opened(b'[{"q": 1.10000000000000000000}]'), "JSON")
    assert bytes(line["q"]) == bytes(element["q"]) == b"1.10000000000000000000"


def test_elements_of_an_array_that_are_no_objects_are_bad_rows():
    number, good, text = rows_of(b'[12, {"a": "]},["}, "x"]')
    assert good == {"a": "]},["}
    assert (number.text, text.text) == ("12", '"x"')


def test_children_and_attributes_of_an_xml_record_are_its_columns():
    content = b"""<?xml version="1.0"?>
    <usage xmlns:x="urn:x"><event id="7"><x:customerId>a &amp; b</x:customerId>
    <metadata><region>eu</region><tag>1</tag><tag>2</tag></metadata><note/></event>
    <event>only text</event></usage>"""
    good, bad = rows_of(content)
    assert good == {
        "id": "7",
        "customerId": "a & b",
        "metadata": {"region": "eu", "tag": ["1", "2"]},
        "note": "",
    }
    assert bad.text == "only text"


BOMB = b"""<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><lolz><e>&b;</e></lolz>"""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\xff\xfea\x00", "UTF-16"),
        (b"a,b\n1,2\n\xe4,2\n", "in line 3 stands the byte 0xe4"),
        (b"a,a\n1,2\n", "column 'a' twice"),
        (b'a,b\n1,2\n"1,2\n', "line 3 cannot be read"),
        (b'a,b\n1,"2"3\n', "line 2 cannot be read"),
        (b"a,b\n" + b"x" * 2_000_000, "longer than"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "longer than"),
        (b'[{"a": 1}', "breaks off"),
        (b'[{"a": 1} {"b": 2}]', "not a comma"),
        (b'[{"a": 1},]', "element 2 cannot be read"),
        (b'[{"a": 1}] trailing', "after the array"),
        (b'[{"a": "' + b"x" * 3_000_000 + b'"}]', "element 1 cannot be read"),
        (b'["' + b'\xe4"]', "not UTF-8"),
        (b"[" * 100_000, "element 1 cannot be read"),
        (BOMB, "document type"),
        (b"<r><e></r>", "not well-formed"),
        (b"<r><e>1</e>", "not well-formed"),
        (b"<r>" + b"<e>" * 100, "nested"),
        (b"<r><e a='" + b"x" * 2_000_000 + b"'/></r>", "characters"),
        (gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:-20], "gzip"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(content, told):
    with pytest.raises(UnreadableFile, match=told):
        rows_of(content)


def test_a_packed_file_is_unpacked_so_far_and_no_further():
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)
    assert len(rows_of(packed)) == 100_000
    with pytest.raises(UnreadableFile, match="unpacks to more than 1000 bytes"):
        rows_of(packed, most=1_000)


texts = st.text('aä€😀"\\,:[]{}\n ', max_size=20)  # what a reader could stumble over
records = st.lists(
    st.fixed_dictionaries({"a": texts, "b": st.integers(), "c": st.booleans()}), min_size=1
)


@settings(deadline=None)
@given(records=records, size=st.integers(1, 50))
def test_pieces_may_end_anywhere(records, size):
    array = b" " + json.dumps(records, ensure_ascii=False).encode()
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()

    def read(content, file_format):
        file = opened(content, size=size)
        return [
            {name: value_of(value) for name, value in row.items()}
            for row in formats.rows(file, file_format)
        ]

    assert read(array, "JSON") == records
    assert read(lines, "NDJSON") == records
