"""The scripts of the pages: each can be parsed, and what it imports is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import pigeonhole

NODE = shutil.which("node")
LINK = """
import vm from "node:vm";
import fs from "node:fs";
import path from "node:path";

const made = new Map();

function of(file) {
  const text = fs.readFileSync(file, "utf8");
  if (!made.has(file)) made.set(file, new vm.SourceTextModule(text, { identifier: file }));
  return made.get(file);
}

const linker = (name, from) => of(path.resolve(path.dirname(from.identifier), name));
for (const file of process.argv.slice(1)) {
  const module = of(file);
  if (module.status === "unlinked") await module.link(linker);
}
"""


def link(*files: Path) -> subprocess.CompletedProcess:
    command = [NODE, "--experimental-vm-modules", "--input-type=module", "--eval", LINK, "--"]
    return subprocess.run([*command, *map(os.fspath, files)], capture_output=True, text=True)


@pytest.mark.skipif(not NODE, reason="node is not installed")
def test_scripts_import_what_is_there(tmp_path):
    scripts = list((Path(pigeonhole.__file__).parent / "web" / "static").rglob("*.js"))
    found = link(*scripts)
    assert len(scripts) > 20 and found.returncode == 0, found.stderr
    wrong = tmp_path / "wrong.js"
    for text in ('import { none } from "./other.js";', "const one = 1;\nfunction one() {}"):
        (tmp_path / "other.js").write_text("export const some = 1;")
        wrong.write_text(text)
        assert link(wrong).returncode != 0
