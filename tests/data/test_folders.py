import os
import random
import sys
from pathlib import Path

import pytest

from pigeonhole.data import folders
from pigeonhole.data.folders import scan
from pigeonhole.errors import PigeonholeError, UsageError


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def names(tree: folders.Tree) -> list[str]:
    return [entry.name for entry in tree.entries]


def link(path: Path, target: Path | str) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system does not let us make symbolic links")


def test_finds_files_at_any_depth_whatever_their_extension(tmp_path):
    make(tmp_path, "dogs/a.jpg", "dogs/deep/er/b.PNG", "cats/notes.txt", "cats/no_extension")
    tree = scan(tmp_path)
    assert tree.classes == ["cats", "dogs"]
    assert names(tree) == ["cats/no_extension", "cats/notes.txt", "dogs/a.jpg", "dogs/deep/er/b.PNG"]
    assert [entry.class_name for entry in tree.entries] == ["cats", "cats", "dogs", "dogs"]
    assert all(entry.path.read_bytes() == b"x" and entry.problem is None for entry in tree.entries)
    assert tree.split is None


def test_order_is_by_name_and_not_the_file_system_s(tmp_path, monkeypatch):
    make(tmp_path, *(f"{c}/{n}.jpg" for c in "ab" for n in range(20)))
    expected = names(scan(tmp_path))
    assert expected == sorted(expected)
    listed = os.scandir

    class Shuffled:
        def __init__(self, folder):
            with listed(folder) as items:
                self.items = random.Random(1).sample(found := list(items), len(found))

        def __enter__(self):
            return iter(self.items)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert names(scan(tmp_path)) == expected


@pytest.mark.parametrize(
    "hidden",
    [
        ".DS_Store",
        "._a.jpg",
        ".ipynb_checkpoints/a.jpg",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/a.jpg",
        "sub/.x.jpg",
    ],
)
def test_hidden_files_are_not_found_but_counted(tmp_path, hidden):
    make(tmp_path, "a/1.jpg", "b/1.jpg", f"a/{hidden}")
    tree = scan(tmp_path)
    assert names(tree) == ["a/1.jpg", "b/1.jpg"]
    assert tree.hidden == 1


def test_hidden_folders_are_no_classes_even_in_the_root(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", ".git/x.jpg", "__MACOSX/x.jpg", ".DS_Store")
    tree = scan(tmp_path)
    assert tree.classes == ["a", "b"] and tree.hidden == 3


def test_a_hidden_root_is_the_user_s_choice(tmp_path):
    make(tmp_path / ".data", "a/1.jpg", "b/1.jpg")
    assert len(scan(tmp_path / ".data").entries) == 2


def test_files_beside_the_class_folders_are_reported_labels_txt_is_known(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "stray.jpg", "README", "labels.txt")
    tree = scan(tmp_path)
    assert tree.strays == ["README", "stray.jpg"]
    assert len(tree.entries) == 2


def test_class_names_in_any_script_with_spaces(tmp_path):
    make(tmp_path, "кошки и коты/1.jpg", "犬/1.jpg", "Hunde groß/1.jpg", "🐦/1.jpg")
    assert scan(tmp_path).classes == ["Hunde groß", "кошки и коты", "犬", "🐦"]


def test_a_decomposed_class_name_is_the_composed_one(tmp_path):
    make(tmp_path, "cafe\u0301/1.jpg", "tea/1.jpg")
    tree = scan(tmp_path, ["tea", "caf\u00e9"])
    assert tree.classes == ["tea", "caf\u00e9"]
    assert tree.entries[0].class_name == "caf\u00e9"
    assert tree.entries[0].path.exists()


def test_classes_are_sorted_by_their_composed_names(tmp_path):
    make(tmp_path, "cafe\u0301/1.jpg", "cafz/1.jpg")
    assert scan(tmp_path).classes == ["cafz", "caf\u00e9"]


def test_two_folders_that_differ_only_by_normalisation_are_refused(tmp_path):
    make(tmp_path, "cafe\u0301/1.jpg", "caf\u00e9/1.jpg")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell them apart")
    with pytest.raises(PigeonholeError, match="spelt with different Unicode"):
        scan(tmp_path)


def test_classes_takes_a_subset_in_the_given_order(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "c/1.jpg")
    tree = scan(tmp_path, ["c", "a"])
    assert tree.classes == ["c", "a"]
    assert names(tree) == ["a/1.jpg", "c/1.jpg"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [(["a", "z"], "no class z; the classes are a, b"), (["a", "b", "a"], "named twice")],
)
def test_wrong_classes_are_usage_errors(tmp_path, classes, message):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    with pytest.raises(UsageError, match=message):
        scan(tmp_path, classes)


def test_a_missing_folder_and_a_file_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: no such folder"):
        scan(tmp_path / "nowhere")
    make(tmp_path, "file.jpg")
    with pytest.raises(UsageError, match=r"a file, not a folder"):
        scan(tmp_path / "file.jpg")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([".keep"], "no class folders; put the pictures into one folder per class"),
        (["1.jpg", "2.jpg"], "2 pictures and no class folders; move them into one folder per class"),
        (["a/1.jpg"], r"only one class \(a\)"),
        (["unzipped/a/1.jpg", "unzipped/b/1.jpg"], "did you mean .*unzipped"),
        (["a/1.jpg", "b/.hidden"], "no files in b; put pictures there or remove"),
    ],
)
def test_folders_that_cannot_be_trained_on_say_what_to_do(tmp_path, files, message):
    with pytest.raises(PigeonholeError, match=message) as raised:
        scan(make(tmp_path, *files))
    assert not isinstance(raised.value, UsageError) and "\n" not in str(raised.value)


def test_one_class_chosen_of_many_is_refused(tmp_path):
    with pytest.raises(PigeonholeError, match="only one class"):
        scan(make(tmp_path, "a/1.jpg", "b/1.jpg"), ["b"])


def test_links_are_followed_once_and_never_in_a_loop(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "x.jpg", "deep/y.jpg")
    root = make(tmp_path / "root", "a/1.jpg", "a/sub/2.jpg", "b/1.jpg")
    link(root / "a" / "again.jpg", root / "a" / "1.jpg")
    link(root / "a" / "itself", root / "a")
    link(root / "a" / "sub" / "up", root)
    link(root / "a" / "0_sub", root / "a" / "sub")
    link(root / "a" / "far", elsewhere)
    link(root / "a" / "far_again", elsewhere)
    link(root / "a" / "x_again.jpg", elsewhere / "x.jpg")
    tree = scan(root)
    assert [name for name in names(tree) if name.startswith("a/")] == [
        "a/1.jpg",
        "a/far/deep/y.jpg",
        "a/far/x.jpg",
        "a/sub/2.jpg",
    ]
    assert tree.repeated_links == 6


def test_what_two_links_lead_to_is_found_once(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "x.jpg", "deep/y.jpg")
    root = make(tmp_path / "root", "a/1.jpg", "b/1.jpg")
    link(root / "a" / "2_deep", elsewhere / "deep")
    link(root / "a" / "3_whole", elsewhere)
    link(root / "b" / "2.jpg", elsewhere / "x.jpg")
    link(root / "b" / "3.jpg", elsewhere / "x.jpg")
    assert names(scan(root)) == ["a/1.jpg", "a/2_deep/y.jpg", "a/3_whole/x.jpg", "b/1.jpg", "b/2.jpg"]


def test_links_within_a_folder_to_what_is_hidden_or_not_there(tmp_path):
    make(tmp_path, "a/1.jpg", "a/.2.jpg", "b/1.jpg")
    link(tmp_path / "a" / "shown.jpg", tmp_path / "a" / ".2.jpg")
    link(tmp_path / "a" / "shown_again.jpg", tmp_path / "a" / ".2.jpg")
    link(tmp_path / "a" / "gone.jpg", tmp_path / "a" / "nowhere.jpg")
    tree = scan(tmp_path)
    problems = {entry.name: entry.problem for entry in tree.entries}
    assert problems == {"a/1.jpg": None, "a/gone.jpg": "broken link", "a/shown.jpg": None, "b/1.jpg": None}
    assert (tree.hidden, tree.repeated_links) == (1, 1)


def test_a_link_in_another_class_is_found_there_too(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    link(tmp_path / "b" / "also.jpg", tmp_path / "a" / "1.jpg")
    assert names(scan(tmp_path)) == ["a/1.jpg", "b/1.jpg", "b/also.jpg"]


def test_a_linked_class_folder_is_a_class(tmp_path):
    make(tmp_path / "elsewhere", "1.jpg")
    make(tmp_path / "root", "a/1.jpg")
    link(tmp_path / "root" / "b", tmp_path / "elsewhere")
    assert names(scan(tmp_path / "root")) == ["a/1.jpg", "b/1.jpg"]


def test_broken_links_are_found_with_a_reason(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    link(tmp_path / "a" / "gone.jpg", tmp_path / "nowhere.jpg")
    link(tmp_path / "a" / "self.jpg", "self.jpg")
    link(tmp_path / "loop", "loop")
    problems = {entry.name: entry.problem for entry in scan(tmp_path).entries if entry.problem}
    assert problems == {"a/gone.jpg": "broken link", "a/self.jpg": "broken link"}
    assert scan(tmp_path).strays == ["loop"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_found_and_never_to_be_opened(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    assert scan(tmp_path).entries[1].problem == "not a regular file"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_no_utf_8_is_found(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    with open(os.fsencode(tmp_path) + b"/a/\xff.jpg", "wb"):
        pass
    assert names(scan(tmp_path)) == ["a/1.jpg", "a/\udcff.jpg", "b/1.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_without_permission_is_an_error(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "b/sub/2.jpg")
    (tmp_path / "b" / "sub").chmod(0)
    try:
        with pytest.raises(PigeonholeError, match="no permission to list"):
            scan(tmp_path)
    finally:
        (tmp_path / "b" / "sub").chmod(0o755)


@pytest.mark.parametrize("train", ["train", "train_dir"])
@pytest.mark.parametrize("valid", ["val", "valid", "validation", "validation_dir"])
def test_a_ready_made_split_is_understood(tmp_path, train, valid):
    make(tmp_path, f"{train}/a/1.jpg", f"{train}/b/2.jpg", f"{valid}/a/3.jpg", f"{valid}/b/deep/4.jpg")
    tree = scan(tmp_path)
    assert tree.classes == ["a", "b"]
    assert tree.split == {
        f"{train}/a/1.jpg": "train",
        f"{train}/b/2.jpg": "train",
        f"{valid}/a/3.jpg": "valid",
        f"{valid}/b/deep/4.jpg": "valid",
    }
    assert names(tree) == sorted(tree.split)
    assert (tmp_path / tree.entries[0].name).samefile(tree.entries[0].path)


def test_a_ready_made_split_leaves_its_test_folder_alone_and_says_so(tmp_path):
    make(tmp_path, *(f"{side}/{c}/1.jpg" for side in ("train", "val", "test") for c in "ab"), "train/x.jpg")
    tree = scan(tmp_path)
    assert tree.test == tmp_path / "test" and tree.left_alone == []
    assert set(tree.split.values()) == {"train", "valid"} and len(tree.entries) == 4
    assert tree.strays == ["train/x.jpg"]


def test_the_classes_of_a_ready_made_split_must_agree(tmp_path):
    make(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg", "val/c/1.jpg")
    with pytest.raises(PigeonholeError, match="must hold the same classes; only val has c"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ("Training Testing", ("Training", None, "Testing", ())),
        ("training_set test_set", ("training_set", None, "test_set", ())),
        ("Train Val", ("Train", "Val", None, ())),
        ("train dev", ("train", "dev", None, ())),
        (
            "TRAIN-images val-images TEST-images",
            ("TRAIN-images", "val-images", "TEST-images", ()),
        ),
        ("train val tests", ("train", "val", "tests", ())),
        ("train val unlabelled", ("train", "val", None, ("unlabelled",))),
    ],
)
def test_parts_of_a_split_are_known_by_name(tmp_path, folders, found):
    make(tmp_path, *(f"{side}/{c}/1.jpg" for side in folders.split() for c in "ab"))
    train, valid, test, others = found
    tree = scan(tmp_path)
    assert tree.classes == ["a", "b"]
    assert tree.test == (tmp_path / test if test else None) and tree.left_alone == list(others)
    assert {name.split("/")[0] for name in names(tree)} == {train, *([valid] if valid else [])}
    assert (tree.split is None) is (valid is None)


def test_a_test_part_without_class_folders_is_left_alone(tmp_path):
    make(tmp_path, *(f"{side}/{c}/1.jpg" for side in ("train", "val") for c in "ab"), "test/1.jpg")
    tree = scan(tmp_path)
    assert tree.test is None and tree.left_alone == ["test"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (["one/a/1.jpg", "one/b/1.jpg", "two/a/1.jpg", "two/b/1.jpg"], "folders of the same names"),
        (["images/a/1.jpg", "images/b/1.jpg", "more/1.jpg"], "images holds folders and more does not"),
        (["train/a/1.jpg", "train/b/1.jpg", "training/a/1.jpg", "training/b/1.jpg"], "both called"),
        (["train/1.jpg", "test/1.jpg"], "train holds no class folders"),
    ],
)
def test_what_may_be_a_split_is_refused_until_the_user_decides(tmp_path, files, why):
    make(tmp_path, *files)
    with pytest.raises(PigeonholeError, match=f"classes, or parts of a split.*{why}.*--classes .*--test"):
        scan(tmp_path)
    folders = sorted({name.split("/")[0] for name in files})
    assert scan(tmp_path, folders).classes == folders


def test_classes_may_hold_folders_beside_pictures(tmp_path):
    make(tmp_path, "rust/1.jpg", "rust/a/1.jpg", "rust/b/1.jpg", "healthy/1.jpg")
    assert scan(tmp_path).classes == ["healthy", "rust"]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", "__MACOSX", ".ipynb_checkpoints"],
)
def test_folders_of_systems_are_passed_over(tmp_path, name):
    make(tmp_path, "a/1.jpg", "b/1.jpg", f"{name}/1.jpg", f"a/{name}/2.jpg", "a/Thumbs.db")
    tree = scan(tmp_path)
    assert tree.classes == ["a", "b"] and names(tree) == ["a/1.jpg", "b/1.jpg"]


def test_one_folder_too_deep_suggests_the_one_above(tmp_path):
    make(tmp_path, "cats/1.jpg", "dogs/1.jpg")
    with pytest.raises(PigeonholeError, match=f"give the folder above, {tmp_path}"):
        scan(tmp_path / "cats")


def test_an_archive_and_a_cut_path_are_told(tmp_path):
    make(tmp_path, "my.zip", "my photos/a/1.jpg")
    with pytest.raises(UsageError, match="an archive; unpack it"):
        scan(tmp_path / "my.zip")
    with pytest.raises(UsageError, match=r"no such folder .a path with a space needs quotes"):
        scan(tmp_path / "my")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names side by side")
def test_class_names_that_cannot_be_told_apart_or_written(tmp_path):
    make(tmp_path, "Cat/1.jpg", "cat/1.jpg")
    with pytest.raises(PigeonholeError, match="Cat and cat differ in upper and lower case alone"):
        scan(tmp_path)
    make(tmp_path / "other", "a/1.jpg")
    os.mkdir(os.fsencode(tmp_path) + b"/other/caf\xe9")
    with pytest.raises(PigeonholeError, match=r"no UTF-8 .byte 0xe9.; rename it"):
        scan(tmp_path / "other")


def test_classes_may_be_called_train_and_valid(tmp_path):
    make(tmp_path, "train/1.jpg", "valid/1.jpg", "bus/1.jpg")
    tree = scan(tmp_path)
    assert tree.split is None and "train" in tree.classes


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "c\u2028d", "e\u202ef"])
def test_a_class_name_that_could_not_stand_in_one_line_is_refused(tmp_path, name):
    for folder in (name, "cat"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    with pytest.raises(PigeonholeError, match="holds a control character or a line end; rename") as caught:
        folders.scan(tmp_path)
    assert str(caught.value).isprintable()
