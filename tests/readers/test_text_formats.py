"""Each text format on a few lines written here by hand."""

from __future__ import annotations

import math

import pytest

from evictlab.traces.errors import FormatError, UsageError
from evictlab.traces.readers import open_reader

GET, SET, DELETE, OTHER = range(4)


def test_arc(tmp_path, read):
    # start, number of blocks, ignored, number of the request
    file = tmp_path / "t.lis"
    file.write_text("10 3 0 0\n5 1 0 1\n10 2 0 2\n")
    trace = read(file)
    assert trace.name == "arc"
    assert trace.keys == [10, 11, 12, 5, 10, 11]
    assert trace.account.records == 3


def test_arc_run_of_nothing_is_counted(tmp_path, read):
    file = tmp_path / "t.lis"
    file.write_text("10 3 0 0\n5 0 0 1\n")
    trace = read(file)
    assert trace.keys == [10, 11, 12]
    assert trace.account.dropped == {"run of no blocks": 1}


def test_arc_that_announces_too_much_is_refused_with_its_line(tmp_path, read):
    file = tmp_path / "t.lis"
    file.write_text("10 3 0 0\n5 2147483648 0 1\n")
    with pytest.raises(FormatError, match=r"line 2: a run of 2,147,483,648 blocks"):
        read(f"arc:{file}")


def test_lirs(tmp_path, read):
    # One block per line; "*" starts a run, blank lines are nothing; the last line end is often missing.
    file = tmp_path / "t.trc"
    file.write_bytes(b"0\r\n7\r\n\r\n*\r\n7\r\n12")
    trace = read(file)
    assert trace.name == "lirs"
    assert trace.keys == [0, 7, 7, 12]
    assert trace.account.dropped == {"mark '*'": 1}
    assert trace.account.records == 5


def test_spc(tmp_path, read):
    # ASU, LBA (512-byte blocks), size in bytes, opcode, seconds, further fields
    file = tmp_path / "t.spc"
    file.write_text("0,20941264,8192,W,0.551706\n2,20941264,512,r,0.554041\n0,20941264,8192,R,1,x,y\n")
    trace = read(file)
    assert trace.name == "spc"
    assert trace.keys[0] == trace.keys[2] == 20941264
    assert trace.keys[1] != trace.keys[0], "the same block of another unit is another object"
    assert trace.sizes == [8192, 512, 8192]
    assert trace.times == [0.551706, 0.554041, 1.0]
    assert trace.ops == [SET, GET, GET]


def test_msr(tmp_path, read):
    # Windows file time (100 ns), host, disk, type, offset, size, response time (100 ns)
    file = tmp_path / "hm_0.csv"
    file.write_text(
        "128166372003061629,hm,0,Read,383496192,32768,1130000\n128166372013061629,hm,1,Write,383496192,4096,500\n"
    )
    trace = read(file)
    assert trace.name == "msr"
    assert trace.keys[0] == 383496192
    assert trace.keys[1] != trace.keys[0], "the same offset on another disk is another object"
    assert trace.sizes == [32768, 4096]
    assert trace.times is not None
    assert trace.times[1] - trace.times[0] == pytest.approx(1.0, abs=1e-5)
    assert trace.ops == [GET, SET]
    assert trace.costs == pytest.approx([0.113, 5e-5])


def test_msr_of_two_hosts_says_so(tmp_path, read):
    file = tmp_path / "all.csv"
    file.write_text("1,hm,0,Read,0,512,1\n2,usr,0,Read,0,512,1\n")
    assert any("more than one host" in note for note in read(f"msr:{file}").account.notes)


def test_fiu(tmp_path, read):
    # ns, pid, process, block, blocks of 512 bytes, type, major, minor, digest
    file = tmp_path / "homes.blkparse"
    file.write_text("89966 4892 syslogd 904265560 8 W 6 0 531e7\n99966 4892 syslogd 904265560 8 R 8 1 531e7\n")
    trace = read(file)
    assert trace.name == "fiu"
    assert trace.keys[0] & (2**37 - 1) == trace.keys[1] & (2**37 - 1) == 904265560
    assert trace.keys[0] != trace.keys[1]
    assert trace.sizes == [4096, 4096]
    assert trace.ops == [SET, GET]


def test_address(tmp_path, read):
    # load or store, address, instructions since the last access
    file = tmp_path / "gcc.trace"
    file.write_text("s 0x1fffff50 1\nl 0xffffffffffffffff 0\nl 0x1fffff58 6\n")
    trace = read(file)
    assert trace.name == "address"
    assert trace.keys == [0x1FFFFF50, 2**64 - 1, 0x1FFFFF58]
    assert trace.ops == [SET, GET, GET]
    assert read(file, line_bytes=64).keys == [0x1FFFFF50 // 64, (2**64 - 1) // 64, 0x1FFFFF50 // 64]


def test_address_with_penalties(tmp_path, read):
    # ... hit penalty, miss penalty
    file = tmp_path / "gcc.trace"
    file.write_text("s 0x10 1 1 100\nl 0x18 1 1 2.5\n")
    trace = read(file)
    assert trace.costs == [100.0, 2.5]
    assert any("seconds" in note for note in trace.account.notes), "the unit is an assumption, and said"


def test_parrot(tmp_path, read):
    # program counter, address
    file = tmp_path / "astar.csv"
    file.write_text("0x400,0x40\n0x404,0x7f\n")
    assert read(file).keys == [0x40, 0x7F]
    assert read(file, line_bytes="64").keys == [1, 1]
    with pytest.raises(UsageError, match="line_bytes"):
        open_reader(file, line_bytes=0)


def test_twitter(tmp_path, read):
    # time, key, key size, value size, client, operation, TTL; the third key has a comma in it
    file = tmp_path / "cluster001"
    file.write_text("0,nz:u:a,8,100,1,get,0\n0,nz:u:a,8,100,1,set,3600\n1,k,with,8,0,1,delete,0\n")
    trace = read(file)
    assert trace.name == "twitter"
    assert trace.keys == ["nz:u:a", "nz:u:a", "k,with"]
    assert trace.sizes == [108, 108, 8]
    assert trace.ttls == [math.inf, 3600.0, math.inf]
    assert trace.ops == [GET, SET, DELETE]


def test_webcachesim(tmp_path, read):
    # time, id, size, features
    file = tmp_path / "wiki.tr"
    file.write_text("1 18446744073709551615 120 3\n2 5 64 4\n4 5 64 4\n")
    trace = read(file)
    assert trace.name == "webcachesim"
    assert trace.keys == [2**64 - 1, 5, 5]
    assert trace.sizes == [120, 64, 64]
    assert trace.times == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("blanks", ["\t", "  ", " \t"])
def test_any_blanks_separate(tmp_path, read, blanks):
    file = tmp_path / "x.tr"
    file.write_text("".join(blanks.join(line) + "\n" for line in [("1", "7", "120"), ("2", "8", "64")]))
    trace = read(f"webcachesim:{file}")
    assert trace.keys == [7, 8]
    assert trace.sizes == [120, 64]
    assert not trace.account.dropped


KV = "op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase\n"


def test_cachelib_kv(tmp_path, read):
    file = tmp_path / "kv.csv"
    file.write_text(KV + "604,a5,24,GET,3,87,1,0,1,1\n605,a5,24,SET_LEASE,1,87,0,600,1,1\n")
    trace = read(file)
    assert trace.name == "cachelib_kv"
    assert trace.keys == ["a5", "a5"]
    assert trace.sizes == [87, 87]
    assert trace.times == [604.0, 605.0]
    assert trace.ttls == [math.inf, 600.0]
    assert trace.ops == [GET, SET]
    assert any("op_count adds up to 4" in note for note in trace.account.notes)
    assert read(file, expand="yes").keys == ["a5"] * 4


def test_cachelib_kv_of_2020(tmp_path, read):
    # The older traces have decimal keys, and no times.
    file = tmp_path / "kv.csv"
    file.write_text("key,op,size,op_count,key_size\n12,GET,100,1,16\n-5,GET,100,0,16\n")
    trace = read(file, expand="yes")
    assert trace.keys == [12]
    assert trace.account.dropped == {"op_count is 0": 1}
    assert read(file).keys == [12, 2**64 - 5]
    assert trace.times is None


def test_cachelib_block(tmp_path, read):
    file = tmp_path / "block.csv"
    file.write_text(
        "op_time,block_id,block_id_size,io_size,io_offset,user_name,user_namespace,op_name,op_count,host_name,"
        "rs_shard_id\n17,ab-cd,40,8388608,0,4,3,getChunkData.NotInitialized,1,5,4\n18,ab-cd,40,5,0,4,3,putChunk.P,1,5,4\n"
    )
    trace = read(file)
    assert trace.name == "cachelib_block"
    assert trace.keys == ["ab-cd", "ab-cd"]
    assert trace.sizes == [8388608, 5]
    assert trace.ops == [GET, SET]


def test_mooncake(tmp_path, read):
    # A prompt asks for each block of its prefix, at the time of the prompt (ms).
    file = tmp_path / "t.jsonl"
    file.write_text(
        '{"timestamp": 500, "input_length": 1024, "output_length": 5, "hash_ids": [0, 1]}\n'
        '{"timestamp": 1500, "input_length": 9, "output_length": 1, "hash_ids": []}\n'
        '{"timestamp": 27482, "input_length": 9, "output_length": 1, "hash_ids": [0, 2, 9223372036854775807]}\n'
    )
    trace = read(file)
    assert trace.name == "mooncake"
    assert trace.keys == [0, 1, 0, 2, 2**63 - 1]
    assert trace.times == [0.5, 0.5, 27.482, 27.482, 27.482]
    assert trace.account.dropped == {"prompt without blocks": 1}
    assert trace.account.records == 3


def test_mooncake_with_damaged_lines(tmp_path, read):
    good = '{"timestamp": 1, "hash_ids": [4]}\n'
    file = tmp_path / "t.jsonl"
    file.write_text(good * 3 + '{"timestamp": 1}\n' + good + '{"timestamp": 1, "hash')
    trace = read(file)
    assert trace.keys == [4] * 4
    assert trace.account.dropped == {"unreadable": 1, "torn last record": 1}
    assert trace.account.notes[0].startswith("line 4: ")


def test_plain_numbers(tmp_path, read):
    file = tmp_path / "ids.txt"
    file.write_text("5\n-1\n18446744073709551615\n0x1f\n5\n")
    trace = read(file)
    assert trace.name == "plain"
    assert trace.keys == [5, 2**64 - 1, 2**64 - 1, 31, 5]


@pytest.mark.parametrize("lines", [["a", "7", "é"], ["1", "01"], ["99999999999999999999", "1"]])
def test_plain_text(tmp_path, read, lines):
    # One key that is no number, or has leading zeros, or is too large, makes all of them text.
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    assert read(file).keys == lines


def test_plain_text_may_hold_anything_if_named(tmp_path, read):
    file = tmp_path / "urls"
    file.write_text('/a?b=1,2 "x"\n/c d\n')
    assert read(f"plain:{file}").keys == ['/a?b=1,2 "x"', "/c d"]
    assert read(f"libcachesim_txt:{file}").keys == ['/a?b=1,2 "x"', "/c d"]


def test_a_key_that_is_not_utf8_stays_different(tmp_path, read):
    file = tmp_path / "urls"
    file.write_bytes(b"/caf\xe9\n/caf\xe8\n/caf\xe9\n")
    keys = read(f"plain:{file}").keys
    assert keys[0] == keys[2] == r"/caf\xe9"
    assert keys[1] == r"/caf\xe8"


def test_numbers_at_the_edges(tmp_path, read):
    # Above 2^63, negative, and beside each other: each keeps its 64-bit pattern.
    file = tmp_path / "x.tr"
    file.write_text("1 9223372036854775808 1\n2 -9223372036854775808 1\n3 -1 -7\n")
    trace = read(f"webcachesim:{file}")
    assert trace.keys == [2**63, 2**63, 2**64 - 1]
    assert trace.sizes == [1, 1, -7]
    assert not trace.account.dropped
