# SPDX-License-Identifier: Apache-2.0
"""Claims: a heap profile is gzip'd profile.proto: a decoder of our own and protoc, with a schema of our own, read the same from it; its samples add
up to what the layers told, and where every block is known to the layer's own figures; sample types, period, default, labels and the string table
are those pprof expects; each location is told once, before it is used, with its address in the mapping it names, and the mapping of the program has
the build id that the file has; functions are named when that was wanted; two layers go into one file, told apart by labels."""

import collections
import gzip
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

PROGRAM = "tests/pmr/profiled"
SCHEMA = "tests/pmr/profile.proto"

# Field number -> name, and what is in it, as in the schema.
VALUE_TYPE = {1: ("type", int), 2: ("unit", int)}
LABEL = {1: ("key", int), 2: ("str", int)}
SAMPLE = {1: ("location_id", [int]), 2: ("value", [int]), 3: ("label", [LABEL])}
MAPPING = {1: ("id", int), 2: ("memory_start", int), 3: ("memory_limit", int), 4: ("file_offset", int), 5: ("filename", int),
           6: ("build_id", int), 7: ("has_functions", int)}
LINE = {1: ("function_id", int)}
LOCATION = {1: ("id", int), 2: ("mapping_id", int), 3: ("address", int), 4: ("line", [LINE])}
FUNCTION = {1: ("id", int), 2: ("name", int), 3: ("system_name", int)}
PROFILE = {1: ("sample_type", [VALUE_TYPE]), 2: ("sample", [SAMPLE]), 3: ("mapping", [MAPPING]), 4: ("location", [LOCATION]),
           5: ("function", [FUNCTION]), 6: ("string_table", [str]), 7: ("drop_frames", int), 9: ("time_nanos", int),
           11: ("period_type", VALUE_TYPE), 12: ("period", int), 14: ("default_sample_type", int)}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def decode(data, fields):
    """A message as a dictionary; every field must be known, and every byte used."""
    message = {name: [] for name, kind in fields.values() if isinstance(kind, list)}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        name, kind = fields[key >> 3]
        inner = kind[0] if isinstance(kind, list) else kind
        if key & 7 == 0:
            assert inner is int, name
            value, at = varint(data, at)
            values = [value]
        else:
            assert key & 7 == 2, (name, key & 7)
            length, at = varint(data, at)
            piece = data[at:at + length]
            assert len(piece) == length, name
            at += length
            if inner is str:
                values = [piece.decode()]
            elif inner is int:
                values, place = [], 0
                while place < length:
                    value, place = varint(piece, place)
                    values.append(value)
            else:
                values = [decode(piece, inner)]
        if isinstance(kind, list):
            message[name] += values
        else:
            assert name not in message and len(values) == 1, name
            message[name] = values[0]
    return message


class Profile:
    def __init__(self, path):
        self.raw = gzip.decompress(path.read_bytes())
        self.all = decode(self.raw, PROFILE)
        self.texts = self.all["string_table"]

    def sums(self, **labels):
        rows = [s["value"] for s in self.all["sample"] if labels.items() <= self.labels(s).items()]
        return [sum(column) for column in zip(*rows)]

    def labels(self, sample):
        return {self.texts[label["key"]]: self.texts[label["str"]] for label in sample["label"]}


class ProfileReaders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        here = pathlib.Path(cls.scratch.name)
        said = subprocess.run([PROGRAM, here], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
        cls.exact_sums, cls.sampled_sums, cls.figures = ([int(n) for n in line.split()] for line in said)
        cls.files = {name: here / (name + ".pb.gz") for name in ("exact", "sampled", "both")}
        cls.profiles = {name: Profile(path) for name, path in cls.files.items()}

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_samples_add_up_to_what_the_layers_told(self):
        exact = self.profiles["exact"].sums()
        self.assertEqual(exact, self.exact_sums)
        self.assertEqual([exact[0], exact[2], exact[3]], self.figures)
        live = sum(10 + i for i in range(200))
        self.assertEqual(exact, [500, live + 300 * 1000, 200, live])
        self.assertEqual(self.profiles["sampled"].sums(), self.sampled_sums)
        self.assertGreater(self.sampled_sums[1], 100_000)

    def test_two_layers_are_told_apart_by_labels(self):
        both = self.profiles["both"]
        self.assertEqual(both.sums(resource="orders", layer="track"), self.exact_sums)
        self.assertEqual(both.sums(resource="sessions", layer="sessions"), self.sampled_sums)
        self.assertEqual(both.sums(), [a + b for a, b in zip(self.exact_sums, self.sampled_sums)])

    def test_says_what_pprof_expects(self):
        for name, period in (("exact", 1), ("sampled", 5000), ("both", 5000)):
            profile = self.profiles[name]
            whole, texts = profile.all, profile.texts
            self.assertEqual([(texts[t["type"]], texts[t["unit"]]) for t in whole["sample_type"]],
                             [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")])
            self.assertEqual(texts[0], "")
            self.assertEqual(texts[whole["default_sample_type"]], "inuse_space")
            self.assertEqual((texts[whole["period_type"]["type"]], texts[whole["period_type"]["unit"]]), ("space", "bytes"))
            self.assertEqual(whole["period"], period)
            self.assertGreater(whole["time_nanos"], 10**18)
            re.compile(texts[whole["drop_frames"]])
            for sample in whole["sample"]:
                self.assertEqual(len(sample["value"]), 4)
                self.assertTrue(sample["location_id"])

    def test_locations_are_told_once_and_lie_in_their_mapping(self):
        for profile in self.profiles.values():
            whole = profile.all
            mappings = {m["id"]: m for m in whole["mapping"]}
            self.assertEqual(len(mappings), len(whole["mapping"]))
            counted = collections.Counter(location["id"] for location in whole["location"])
            self.assertEqual(set(counted.values()), {1})
            for sample in whole["sample"]:
                self.assertTrue(set(sample["location_id"]) <= counted.keys())
            placed = 0
            for location in whole["location"]:
                if "mapping_id" in location:
                    mapping = mappings[location["mapping_id"]]
                    self.assertTrue(mapping["memory_start"] <= location["address"] < mapping["memory_limit"])
                    placed += 1
            self.assertEqual(placed, len(whole["location"]))

    def test_the_programs_mapping_has_its_build_id(self):
        profile = self.profiles["sampled"]
        program = os.path.realpath(PROGRAM)
        own = [m for m in profile.all["mapping"] if profile.texts[m["filename"]] == program]
        self.assertEqual(len(own), 1)
        notes = subprocess.run(["llvm-readelf-19", "-n", program], stdout=subprocess.PIPE, check=True).stdout.decode()
        found = re.search(r"Build ID: ([0-9a-f]+)", notes)
        said = profile.texts[own[0]["build_id"]] if "build_id" in own[0] else None
        self.assertEqual(said, found.group(1) if found else None)
        self.assertTrue(any("build_id" in m for m in profile.all["mapping"]))

    def test_functions_are_named_when_that_was_wanted(self):
        profile = self.profiles["exact"]
        names = {f["id"]: profile.texts[f["name"]] for f in profile.all["function"]}
        function_of = {l["id"]: names.get(l["line"][0]["function_id"], "?") if l["line"] else "?" for l in profile.all["location"]}
        live = {}
        for sample in profile.all["sample"]:
            frames = [function_of[i] for i in sample["location_id"]]
            for function in ("keep_session", "use_buffer"):
                if any(function in f for f in frames):
                    live[function] = live.get(function, 0) + sample["value"][3]
        self.assertEqual(live, {"keep_session": self.exact_sums[3], "use_buffer": 0})
        self.assertEqual(self.profiles["sampled"].all["function"], [])

    def test_protoc_reads_the_same(self):
        for profile in self.profiles.values():
            answer = subprocess.run(["protoc", "--decode=strata.test.Profile", "--proto_path=" + os.path.dirname(SCHEMA), os.path.basename(SCHEMA)],
                                    input=profile.raw, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            text = answer.stdout.decode()
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertIsNone(re.search(r"^\s*\d+:", text, re.M), "fields that are not in the schema")
            for name in ("sample", "mapping", "location", "function"):
                self.assertEqual(len(re.findall(r"^%s {" % name, text, re.M)), len(profile.all[name]), name)
            values = [int(v) for v in re.findall(r"^  value: (\d+)", text, re.M)]
            self.assertEqual([sum(values[i::4]) for i in range(4)], profile.sums())
            self.assertEqual(len(re.findall(r"^string_table:", text, re.M)), len(profile.texts))


if __name__ == "__main__":
    unittest.main()
