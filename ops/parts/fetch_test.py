"""What fetch.py promises, tried without a network: the package clients are replaced by folders of archives."""

import contextlib
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
import time
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fetch  # noqa: E402


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class House(unittest.TestCase):
    """A pinned list of one package with two parts, an empty cache, and a package client that counts its calls."""

    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.here, self.cache = Path(tmp.name) / "here", Path(tmp.name) / "cache"
        self.here.mkdir()
        self.files = {"in/model.onnx": b"model", "in/words.txt": b"words"}
        self.calls = 0
        self.served = [self.archive(self.files)]
        self.pin(self.served[0])

    def archive(self, files):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as z:
            for name, data in files.items():
                z.writestr(zipfile.ZipInfo(name), data)
        return out.getvalue()

    def pin(self, archive, **more):
        parts = [{"name": Path(n).name, "member": n, "bytes": len(d), "sha256": sha256(d)}
                 for n, d in self.files.items()]
        package = {"source": "pypi", "package": "models", "version": "1.0", "licence": "MIT", "bytes": len(archive),
                   "sha256": sha256(archive), "parts": parts, **more}
        plan = {"packages": [package], "kafka": {"version": "4", "bytes": 1}}
        (self.here / "parts.json").write_text(json.dumps(plan))

    def download(self, package, folder):
        data = self.served[min(self.calls, len(self.served) - 1)]
        self.calls += 1
        (folder / "a.whl").write_bytes(data)
        return folder / "a.whl"

    def run_fetch(self, *args):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fetch.main(["--cache", str(self.cache), *args], self.here, {"pypi": self.download})
        return code, out.getvalue() + err.getvalue()

    def part(self, name):
        return self.cache / "parts" / name


class Fetching(House):
    def test_parts_are_installed_and_named_with_their_size(self):
        code, said = self.run_fetch()
        self.assertEqual(code, 0, said)
        self.assertIn("fetch models 1.0 (1 MB)", said)
        self.assertEqual(self.part("model.onnx").read_bytes(), b"model")
        self.assertEqual(self.part("words.txt").read_bytes(), b"words")

    def test_second_run_fetches_nothing_and_hashes_nothing(self):
        self.run_fetch()
        with mock.patch.object(fetch, "sha256_of", side_effect=AssertionError("hashed")):
            code, said = self.run_fetch()
        self.assertEqual((code, self.calls), (0, 1), said)

    def test_only_the_named_part_is_installed(self):
        self.assertEqual(self.run_fetch("--only", "words.txt")[0], 0)
        self.assertFalse(self.part("model.onnx").exists())

    def test_unknown_name_is_refused_with_the_known_ones(self):
        code, said = self.run_fetch("--only", "wrods.txt")
        self.assertEqual(code, 1)
        self.assertIn("no part is called wrods.txt; there are: apicurio, kafka, model.onnx", said)

    def test_part_for_another_platform_is_skipped_with_a_warning(self):
        self.pin(self.served[0], platform="plan9-mips")
        code, said = self.run_fetch()
        self.assertEqual((code, self.calls), (0, 0), said)
        self.assertIn("warning: model.onnx, words.txt skipped: pinned for plan9-mips only", said)

    def test_leftovers_of_a_killed_run_are_removed(self):
        (self.cache / "download.killed").mkdir(parents=True)
        self.run_fetch()
        self.assertEqual([], list(self.cache.glob("download.*")))
        self.assertEqual([], [p for p in self.part("").iterdir() if p.name.startswith(".model")])


class Verifying(House):
    def test_wrong_archive_is_refused_named_and_fetched_once_more(self):
        good = self.served[0]
        self.served = [b"evil", good]
        code, said = self.run_fetch()
        self.assertEqual((code, self.calls), (0, 2), said)
        self.assertIn(f"refused models 1.0: expected sha256 {sha256(good)}, found {sha256(b'evil')}", said)

    def test_archive_wrong_twice_ends_with_both_hashes_and_installs_nothing(self):
        good, self.served = self.served[0], [b"evil"]
        code, said = self.run_fetch()
        self.assertEqual((code, self.calls), (1, 2))
        self.assertIn("error: models 1.0 is refused twice", said)
        self.assertIn(sha256(good), said)
        self.assertIn(sha256(b"evil"), said)
        self.assertFalse(self.part("model.onnx").exists())

    def test_wrong_member_inside_a_pinned_archive_is_refused(self):
        other = self.archive({"in/model.onnx": b"other", "in/words.txt": b"words"})
        self.served = [other]
        self.pin(other)
        code, said = self.run_fetch()
        self.assertEqual(code, 1)
        self.assertIn(f"model.onnx: expected sha256 {sha256(b'model')}, found {sha256(b'other')}", said)
        self.assertFalse(self.part("model.onnx").exists())

    def test_changed_file_in_the_cache_is_named_and_replaced(self):
        self.run_fetch()
        time.sleep(0.01)
        self.part("model.onnx").write_bytes(b"MODEL")
        code, said = self.run_fetch()
        self.assertEqual((code, self.calls), (0, 2), said)
        self.assertIn("refused model.onnx", said)
        self.assertEqual(self.part("model.onnx").read_bytes(), b"model")

    def test_check_finds_damage_that_left_size_and_time_alone(self):
        self.run_fetch()
        path = self.part("model.onnx")
        st = path.stat()
        path.write_bytes(b"MODEL")
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.assertEqual(self.run_fetch()[0], 0)
        self.assertEqual(self.calls, 1)
        code, said = self.run_fetch("--check")
        self.assertEqual((code, self.calls), (0, 2), said)
        self.assertIn("refused model.onnx", said)


class Prerequisites(House):
    def test_missing_npm_is_named_with_how_to_get_it(self):
        with mock.patch.dict(os.environ, {"PATH": ""}), self.assertRaises(fetch.PartError) as caught:
            fetch.npm_pack({"package": "x", "version": "1"}, self.here)
        self.assertEqual(str(caught.exception), "npm is missing: install Node.js, which brings npm")

    def test_missing_pip_is_named_with_how_to_get_it(self):
        with mock.patch.object(fetch.importlib.util, "find_spec", return_value=None):
            with self.assertRaises(fetch.PartError) as caught:
                fetch.pip_download({"package": "x", "version": "1", "sha256": ""}, self.here)
        self.assertIn("pip is missing", str(caught.exception))
        self.assertIn("python3-pip", str(caught.exception))

    def test_missing_java_is_named_only_when_kafka_is_wanted(self):
        (self.here / "kafka-jars.sha256").write_text("")
        (self.here / "log4j2.properties").write_text("")
        with mock.patch.dict(os.environ, {"PATH": ""}):
            self.assertEqual(self.run_fetch()[0], 0)
            code, said = self.run_fetch("--with", "kafka")
        self.assertEqual(code, 1)
        self.assertIn("error: java is missing", said)


class Kafka(House):
    def setUp(self):
        super().setUp()
        (self.here / "kafka-jars.sha256").write_text(f"{sha256(b'jar')}  kafka.jar\n")
        (self.here / "log4j2.properties").write_text("status=error\n")
        self.jars = {"kafka.jar": b"jar"}

    def copy(self, pom, folder):
        self.calls += 1
        (folder / "jars").mkdir()
        for name, data in self.jars.items():
            (folder / "jars" / name).write_bytes(data)
        return folder / "jars"

    def fetch_kafka(self, check=False):
        self.cache.mkdir(exist_ok=True)
        with contextlib.redirect_stdout(io.StringIO()):
            fetch.fetch_kafka({"kafka": {"version": "4", "bytes": 1}}, self.cache, check, self.here, self.copy)

    def test_jars_are_installed_once(self):
        self.fetch_kafka()
        self.fetch_kafka()
        self.assertEqual(self.calls, 1)
        self.assertTrue((self.cache / "kafka/libs-4/kafka.jar").is_file())
        self.assertTrue((self.cache / "kafka/log4j2.properties").is_file())

    def test_a_jar_that_is_not_on_the_list_is_refused(self):
        self.jars["extra.jar"] = b"extra"
        with self.assertRaises(fetch.PartError) as caught:
            self.fetch_kafka()
        self.assertIn("extra.jar", str(caught.exception))
        self.assertFalse((self.cache / "kafka/libs-4").exists())

    def test_check_replaces_a_damaged_jar(self):
        self.fetch_kafka()
        (self.cache / "kafka/libs-4/kafka.jar").write_bytes(b"bad")
        self.fetch_kafka(check=True)
        self.assertEqual((self.cache / "kafka/libs-4/kafka.jar").read_bytes(), b"jar")


class Apicurio(House):
    def setUp(self):
        super().setUp()
        self.bytes = self.tar(b"a registry")
        self.plan = {"apicurio": {"package": "a:b", "version": "1", "bytes": 1, "sha256": sha256(self.bytes)}}
        self.served = []  # what Maven brings, in turn; then the pinned bytes

    def tar(self, program):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as t:
            entry = tarfile.TarInfo("b-runner.jar")
            entry.size = len(program)
            t.addfile(entry, io.BytesIO(program))
        return out.getvalue()

    def copy(self, package, folder):
        self.calls += 1
        (folder / "b.tar.gz").write_bytes(self.served.pop(0) if self.served else self.bytes)
        return folder / "b.tar.gz"

    def fetch_apicurio(self, check=False):
        with contextlib.redirect_stdout(io.StringIO()):
            fetch.fetch_apicurio(self.plan, self.cache, check, self.copy)
        return (self.cache / "apicurio/1/b-runner.jar").read_bytes()

    def test_the_program_is_unpacked_once(self):
        self.assertEqual(self.fetch_apicurio(), b"a registry")
        self.fetch_apicurio()
        self.assertEqual(self.calls, 1)
        self.fetch_apicurio(check=True)
        self.assertEqual(self.calls, 2)

    def test_an_archive_with_another_hash_is_fetched_again_once(self):
        self.served = [self.tar(b"another")]
        self.assertEqual(self.fetch_apicurio(), b"a registry")
        self.assertEqual(self.calls, 2)

    def test_an_archive_that_stays_wrong_is_never_unpacked(self):
        self.served = [self.tar(b"another"), self.tar(b"another")]
        with self.assertRaises(fetch.PartError):
            self.fetch_apicurio()
        self.assertEqual(list(self.cache.glob("apicurio/*")), [])


class Moto(House):
    def setUp(self):
        super().setUp()
        (self.here / "moto-requirements.txt").write_text("moto==1 --hash=sha256:00\n")
        self.fails = False

    def install(self, requirements, folder):
        self.calls += 1
        (folder / "moto.py").write_text(requirements.read_text())
        if self.fails:
            raise fetch.PartError("THESE PACKAGES DO NOT MATCH THE HASHES")

    def fetch_moto(self, check=False):
        self.cache.mkdir(exist_ok=True)
        with contextlib.redirect_stdout(io.StringIO()):
            fetch.fetch_moto(self.cache, check, self.here, self.install)
        return next((self.cache / "moto").glob("py3*/moto.py")).read_text()

    def test_packages_are_installed_once_and_again_when_the_pins_change(self):
        self.fetch_moto()
        self.fetch_moto()
        self.assertEqual(self.calls, 1)
        (self.here / "moto-requirements.txt").write_text("moto==2 --hash=sha256:00\n")
        self.assertIn("moto==2", self.fetch_moto())
        self.fetch_moto(check=True)
        self.assertEqual(self.calls, 3)

    def test_a_failed_installation_leaves_the_good_one(self):
        self.fetch_moto()
        (self.here / "moto-requirements.txt").write_text("moto==2 --hash=sha256:00\n")
        self.fails = True
        with self.assertRaises(fetch.PartError):
            self.fetch_moto()
        self.assertIn("moto==1", next((self.cache / "moto").glob("py3*/moto.py")).read_text())


class PinnedList(unittest.TestCase):
    def test_committed_list_is_complete(self):
        here = Path(fetch.__file__).parent
        plan = json.loads((here / "parts.json").read_text())
        for package in plan["packages"]:
            for pinned in [package, *package["parts"]]:
                self.assertRegex(pinned["sha256"], "^[0-9a-f]{64}$")
                self.assertGreater(pinned["bytes"], 0)
            self.assertTrue(package["licence"])
        self.assertGreater(len(fetch.jar_list(here / "kafka-jars.sha256")), 10)
        for block in (here / "moto-requirements.txt").read_text().split("\n\n"):
            for line in block.splitlines():
                self.assertRegex(line, r"^([a-z0-9-]+==[0-9a-z.]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?)$")


if __name__ == "__main__":
    unittest.main()
