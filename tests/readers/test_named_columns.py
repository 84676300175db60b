"""CSV and Parquet: which column is what, and what is in it."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evictlab.traces.errors import FormatError, UnknownNameError, UsageError
from evictlab.traces.readers import open_reader

GET, SET, DELETE, OTHER = range(4)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_by_usual_names(tmp_path, read):
    file = write(tmp_path / "t.csv", "clock_time,obj_id,obj_size,op,ttl,cost_s\n1.5,7,100,get,60,0.25\n2,8,200,,,1\n")
    trace = read(file)
    assert trace.name == "csv"
    assert trace.keys == [7, 8]
    assert trace.sizes == [100, 200]
    assert trace.times == [1.5, 2.0]
    assert trace.ttls == [60.0, math.inf], "an empty TTL is none"
    assert trace.costs == [0.25, 1.0]
    assert trace.ops == [GET, GET], "an empty operation is a get"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_csv_delimiters(tmp_path, read, delimiter):
    file = write(tmp_path / "t.csv", "url,bytes\n/a,5\n/b,6\n".replace(",", delimiter))
    assert read(file).keys == ["/a", "/b"]
    assert read(file).sizes == [5, 6]
    assert read(file, delimiter="tab" if delimiter == "\t" else delimiter).sizes == [5, 6]


def test_csv_by_options(tmp_path, read):
    file = write(tmp_path / "t.csv", "when,who,key,n\n1,a,7,100\n2,b,8,200\n")
    trace = read(file, time="when", key="who", size=4)
    assert trace.keys == ["a", "b"]
    assert trace.sizes == [100, 200]
    assert trace.times == [1.0, 2.0]


def test_a_column_has_one_role(tmp_path, read):
    file = write(tmp_path / "t.csv", "time,id,size\n1,7,100\n2,8,200\n")
    trace = read(file, key="time")
    assert trace.keys == [1, 2]
    assert trace.times is None, "what is asked for comes before what is usual"


def test_csv_without_header(tmp_path, read):
    file = write(tmp_path / "t.csv", "1,7,100\n2,8,200\n")
    with pytest.raises(FormatError, match="key=NUMBER"):
        read(file)
    trace = read(file, key=2, time=1, size="3")
    assert trace.keys == [7, 8]
    assert trace.sizes == [100, 200]
    assert read(file, key=2, header="yes").keys == [8]


def test_csv_with_unknown_header_lists_the_columns(tmp_path, read):
    file = write(tmp_path / "t.csv", "when,thing\n1,7\n2,8\n")
    with pytest.raises(FormatError, match=r"columns: when, thing.*key=NAME"):
        read(file)


def test_csv_quotes(tmp_path, read):
    file = write(tmp_path / "t.csv", 'time,url,size\n1,"/a,b ""c""",5\n2,/d,6\n')
    assert read(file).keys == ['/a,b "c"', "/d"]
    damaged = write(tmp_path / "d.csv", 'time,url,size\n1,"/a,b ""c""",5\nx,/z,1\n"2","/d",6.0\n')
    trace = read(damaged)
    assert trace.keys == ['/a,b "c"', "/d"], "damage on one line does not change how others are read"
    assert trace.sizes == [5, 6]
    assert trace.account.dropped == {"unreadable": 1}


@pytest.mark.parametrize(
    ("name", "options", "seconds"),
    [
        ("timestamp", {}, 1000.0),
        ("time_ms", {}, 1.0),
        ("timestamp_us", {}, 0.001),
        ("time", {"time_unit": "ms"}, 1.0),
        ("time_ns", {"time_unit": "s"}, 1000.0),
    ],
)
def test_time_units(tmp_path, read, name, options, seconds):
    file = write(tmp_path / "t.csv", f"{name},key\n1000,7\n")
    assert read(file, **options).times == pytest.approx([seconds])


def test_a_column_can_be_ignored(tmp_path, read):
    file = write(tmp_path / "t.csv", "key,size,time\n7,big,noon\n8,small,night\n")
    with pytest.raises(FormatError, match="time=none"):
        read(file)
    with pytest.raises(FormatError, match=r"holds no request \(2 unreadable\)"):
        read(file, time="none")
    trace = read(file, time="none", size="none")
    assert trace.keys == [7, 8]
    assert trace.sizes is None


def test_any_column_can_be_a_prediction(tmp_path, read):
    file = write(tmp_path / "t.csv", "key,size,my_bit,prediction\n7,10,1,2\n8,10,0,-1\n7,10,1,1e300\n")
    assert read(file).predictions == [2.0, -1.0, 1e300]
    assert read(file, prediction="my_bit").predictions == [1.0, 0.0, 1.0]
    assert read(file, prediction=2).predictions == [10.0, 10.0, 10.0]
    assert read(file, prediction=2).sizes is None, "a column has one role"
    assert read(file, prediction="none").predictions is None
    assert read(write(tmp_path / "u.csv", "key,Predicted\n7,0\n")).predictions == [0.0]
    with pytest.raises(UnknownNameError, match="Did you mean 'my_bit'"):
        open_reader(file, prediction="my_bits")


def test_a_prediction_that_is_missing_costs_no_request(tmp_path, read):
    file = write(tmp_path / "t.csv", "key,prediction,size\n1,1,5\n2,,5\n3,nan,5\n4,inf,5\n")
    trace = read(file)
    assert trace.keys == [1, 2, 3, 4]
    assert trace.predictions == pytest.approx([1.0, math.nan, math.nan, math.inf], nan_ok=True)
    assert (trace.account.dropped, trace.account.repaired) == ({}, {}), "an empty field is as empty as an empty TTL"


def test_a_prediction_that_is_no_number_is_missing_and_counted(tmp_path, read):
    texts = ["1", "soon", " 2 ", '"+3"', "", "NA", "-inf", "NaN", "1e300", "1e", " ", '"a,b"', "0x10"]
    numbers = [1, math.nan, 2, 3, math.nan, math.nan, -math.inf, math.nan, 1e300] + [math.nan] * 4
    lines = "".join(f"{key},{text},{key}\n" for key, text in enumerate(texts, start=1))
    trace = read(write(tmp_path / "t.csv", "key,prediction,size\n" + lines + "14,1,big\n"))
    assert trace.keys == trace.sizes == list(range(1, 14))
    assert trace.predictions == pytest.approx(numbers, nan_ok=True)
    assert trace.account.dropped == {"unreadable": 1}, "the line whose size is no number, and no other"
    assert trace.account.repaired == {"prediction is no number -> missing": 5}


def test_key_types(tmp_path, read):
    file = write(tmp_path / "t.csv", "key\n7\n8\n")
    assert read(file, key_type="text").keys == ["7", "8"]
    padded = write(tmp_path / "p.csv", "key\n07\n7\n")
    assert read(padded).keys == ["07", "7"], "07 and 7 may be different objects"
    assert read(padded, key_type="int").keys == [7, 7]
    signed = write(tmp_path / "s.csv", "key,size\n-7,1\n9,1\n")
    assert read(signed).keys == [2**64 - 7, 9]
    hexadecimal = write(tmp_path / "h.csv", "key\n0xff\n0x10\n")
    assert read(hexadecimal).keys == [255, 16]


def test_keys_that_turn_to_text_late_are_found_by_sampling(tmp_path, read):
    # 100,000 numbers, then text in the last tenth: the end of the file is looked at before it is read.
    lines = [str(i) for i in range(100_000)] + [f"k{i}" for i in range(10_000)]
    file = write(tmp_path / "t.csv", "key\n" + "\n".join(lines) + "\n")
    assert read(file).keys == lines


def test_keys_that_turn_to_text_unseen_are_never_merged(tmp_path, read):
    # The text comes between the places that are looked at: too much of it is an error that says what to do ...
    numbers = [str(i) for i in range(1_000_000, 1_100_000)]
    mostly = numbers[:30_000] + ["abc1234"] * 2_000 + numbers[30_000:]
    file = write(tmp_path / "t.csv", "key\n" + "\n".join(mostly) + "\n")
    with pytest.raises(FormatError, match=r"line 30002: 'abc1234'|such as 'abc1234'.*key_type=text"):
        read(file)
    assert read(file, key_type="text").keys == mostly
    # ... and a little of it is dropped and counted.
    hardly = numbers[:30_000] + ["abc1234"] * 5 + numbers[30_000:]
    file = write(tmp_path / "u.csv", "key\n" + "\n".join(hardly) + "\n")
    trace = read(file)
    assert len(trace.keys) == 100_000
    assert trace.account.dropped == {"unreadable": 5}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"keyy": 1}, UnknownNameError, "Did you mean 'key'"),
        ({"key": "ur"}, UnknownNameError, "Columns of"),
        ({"key": 9}, UsageError, "numbered 1 to 2"),
        ({"key": 1, "size": "url"}, UsageError, "both size and something else"),
        ({"delimiter": "::"}, UsageError, "one character"),
        ({"delimiter": "é"}, UsageError, "one character"),
        ({"header": "maybe"}, UsageError, "yes nor no"),
        ({"key_type": "number"}, UnknownNameError, "key type"),
        ({"time": "size", "time_unit": "days"}, UnknownNameError, "time unit"),
    ],
)
def test_wrong_options(tmp_path, options, error, said):
    file = write(tmp_path / "t.csv", "url,size\n/a,1\n")
    with pytest.raises(error, match=said):
        open_reader(file, **options)


def test_libcachesim_csv(tmp_path, read):
    file = write(tmp_path / "t.csv", "version,time,op,size,lbn\n1,5633898,2a,512,42932745\n1,5633899,28,512,42932746\n")
    trace = read(file)
    assert trace.name == "libcachesim_csv"
    assert trace.keys == [42932745, 42932746]
    assert trace.sizes == [512, 512]
    assert trace.ops == [SET, GET], "the operations are SCSI opcodes"
    bare = write(tmp_path / "bare.csv", "5,512,7\n6,512,8\n")
    trace = read(f"libcachesim_csv:{bare}", time_col=1, obj_size_col=2, obj_id_col="3", has_header="false")
    assert trace.keys == [7, 8]
    assert trace.times == [5.0, 6.0]
    trace = read(f"libcachesim_csv:{bare}", obj_id_col=3, prediction=1)
    assert trace.predictions == [5.0, 6.0]


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_as_evictlab_writes_it(tmp_path, read):
    file = parquet(
        tmp_path / "t.parquet",
        time_s=pa.array([0.5, 1.0]),
        key=pa.array([2**64 - 1, 3], pa.uint64()),
        size=pa.array([2**32 - 1, 4], pa.uint32()),
        op=pa.array([1, 2], pa.uint8()),
        ttl_s=pa.array([None, 60.0], pa.float32()),
        cost_s=pa.array([0.1, 0.2]),
    )
    trace = read(file)
    assert trace.name == "parquet"
    assert trace.keys == [2**64 - 1, 3]
    assert trace.sizes == [2**32 - 1, 4]
    assert trace.times == [0.5, 1.0]
    assert trace.ops == [SET, DELETE]
    assert trace.ttls == [math.inf, 60.0]
    assert trace.costs == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("timestamps", [pa.uint64(), pa.int64(), pa.timestamp("ns", "UTC")])
def test_parquet_of_pelikan(tmp_path, read, timestamps):
    # timestamp in nanoseconds, and operations by libCacheSim's numbers: 0 nop, 3 set, 9 delete
    file = parquet(
        tmp_path / "t.parquet",
        timestamp=pa.array([1_500_000_000, 2_000_000_000, 3_000_000_000], pa.int64()).cast(timestamps),
        obj_id=pa.array([1, 2, 1], pa.uint64()),
        obj_size=pa.array([10, 20, 10], pa.uint32()),
        next_access_vtime=pa.array([2, -1, -1], pa.int64()),
        op=pa.array([0, 3, 9], pa.uint8()),
        ttl=pa.array([None, 60, None], pa.int32()),
    )
    trace = read(file)
    assert trace.times == [1.5, 2.0, 3.0]
    assert trace.ops == [GET, SET, DELETE]
    assert trace.ttls == [math.inf, 60.0, math.inf]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())])
def test_parquet_text_keys(tmp_path, read, kind):
    keys = pa.array(["/a", "/b", "/a"]).cast(kind) if kind != pa.binary() else pa.array([b"/a", b"/b", b"/a"])
    file = parquet(tmp_path / "t.parquet", url=keys, op=pa.array(["GET", "put", "?"]))
    trace = read(file)
    assert trace.keys == ["/a", "/b", "/a"]
    assert trace.ops == [GET, SET, OTHER]


def test_parquet_rows_without_key_or_size_are_counted(tmp_path, read):
    file = parquet(
        tmp_path / "t.parquet",
        key=pa.array([1, None, 3, -4], pa.int64()),
        size=pa.array([10, None, None, 40], pa.int64()),
    )
    trace = read(file)
    assert trace.keys == [1, 2**64 - 4]
    assert trace.sizes == [10, 40]
    assert trace.account.dropped == {"no key": 1, "no size": 1}
    assert trace.account.records == 4


def test_parquet_columns_of_a_wrong_type(tmp_path, read):
    file = parquet(tmp_path / "t.parquet", key=pa.array([1.5, 2.5]))
    with pytest.raises(FormatError, match="'key' holds double"):
        read(file)
    file = parquet(tmp_path / "u.parquet", key=pa.array([1, 2]), size=pa.array([2**63, 1], pa.uint64()))
    with pytest.raises(FormatError, match="size=none"):
        read(file)
    assert read(file, size="none").keys == [1, 2]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([True, None, False]), [1.0, math.nan, 0.0]),
        (pa.array([2**63 - 1, -1, None]), [2.0**63, -1.0, math.nan]),
        (pa.array([math.nan, math.inf, 0.25], pa.float32()), [math.nan, math.inf, 0.25]),
        (pa.array(["1", None, "2.5"]), [1.0, math.nan, 2.5]),
        (pa.array([None, None, None]), [math.nan] * 3),
    ],
)
def test_parquet_predictions(tmp_path, read, values, expected):
    file = parquet(tmp_path / "t.parquet", key=pa.array([1, 2, 3]), prediction=values)
    trace = read(file)
    assert trace.keys == [1, 2, 3], "a prediction that is missing costs no request"
    assert trace.predictions == pytest.approx(expected, nan_ok=True)
    assert read(file, prediction="none").predictions is None


def test_parquet_predictions_stay_with_their_keys(tmp_path, read):
    file = parquet(tmp_path / "t.parquet", key=pa.array([1, None, 3]), my_bit=pa.array([10, 20, 30]))
    trace = read(file, prediction="my_bit")
    assert (trace.keys, trace.predictions) == ([1, 3], [10.0, 30.0])
    words = parquet(tmp_path / "u.parquet", key=pa.array([1, 2]), prediction=pa.array(["hot", "cold"]))
    with pytest.raises(FormatError, match=r"'prediction' is no usable prediction.*prediction=none"):
        read(words)


def test_parquet_times_in_nanoseconds_since_1970(tmp_path, read):
    file = parquet(tmp_path / "t.parquet", key=pa.array([1]), time_ns=pa.array([1_700_000_000_500_000_000]))
    assert read(file).times == pytest.approx([1_700_000_000.5])


def test_parquet_that_is_cut_off(tmp_path, read):
    whole = parquet(tmp_path / "t.parquet", key=pa.array(range(1000))).read_bytes()
    file = tmp_path / "cut.parquet"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="no readable Parquet file"):
        read(file)
