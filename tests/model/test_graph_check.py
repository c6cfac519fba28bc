"""Graphs that would do more than compute are refused before anything of them runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole import Classifier
from pigeonhole.commands import predict
from pigeonhole.errors import PigeonholeError
from pigeonhole.model import graph_check, metagraph
from tests.support import saved_runs

v1 = tf.compat.v1

SECRET = b"what only the user may read"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return saved_runs.ready(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(saved, tmp_path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    return saved_runs.editable(shutil.copytree(saved, tmp_path / "run"))


def edit(run: Path, change) -> None:
    """Give `change` the run's meta graph."""
    meta = v1.MetaGraphDef.FromString((run / "model.meta").read_bytes())
    change(meta)
    (run / "model.meta").write_bytes(meta.SerializeToString())


def nodes_of(build) -> list:
    """The nodes of a graph that `build` makes."""
    with tf.Graph().as_default() as graph:
        build()
        return list(graph.as_graph_def().node)


def hang_on(meta, name: str, nodes: list) -> None:
    """Add the nodes, and make the node of that name wait for the last one."""
    meta.graph_def.node.extend(nodes)
    (node,) = [node for node in meta.graph_def.node if node.name == name]
    node.input.append(f"^{nodes[-1].name}")


def copying(folder: Path) -> list:
    """Nodes that copy the secret."""
    return nodes_of(
        lambda: tf.raw_ops.WriteFile(
            filename=str(folder / "copy"),
            contents=tf.raw_ops.ReadFile(filename=str(folder / "secret"), name="deep/read"),
            name="deep/write",
        )
    )


@pytest.mark.parametrize("place", ["y_pred", "save/restore_all"])
def test_a_graph_that_copies_a_file_does_so_by_tensorflow_alone_and_is_refused_here(run, tmp_path, place):
    edit(run, lambda meta: hang_on(meta, place, copying(tmp_path)))
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(str(run / "model.meta")).restore(session, str(run / "model"))
        session.run("y_pred:0", {"x:0": np.zeros((1, 16, 16, 3))})
    copy = tmp_path / "copy"
    assert copy.read_bytes() == SECRET
    copy.unlink()
    with pytest.raises(PigeonholeError, match=r"model\.meta: refused: .*'deep/read'.*ReadFile") as caught:
        Classifier.load(run)
    assert "\n" not in str(caught.value)
    picture = saved_runs.write_picture(tmp_path / "a.png")
    with pytest.raises(PigeonholeError, match="refused"):
        predict.main([str(picture), "--model", str(run), "--engine", "tensorflow"])
    assert not copy.exists()


def _save_where_the_attacker_likes(folder: Path) -> list:
    return nodes_of(
        lambda: tf.raw_ops.SaveV2(
            prefix=str(folder / "copy"),
            tensor_names=["stolen"],
            shape_and_slices=[""],
            tensors=[tf.constant(1.0)],
            name="save/stolen",
        )
    )


def _merge_what_is_there(folder: Path) -> list:
    return nodes_of(
        lambda: tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=[str(folder / "run" / "model")],
            destination_prefix=str(folder / "copy"),
            name="save/moved",
        )
    )


def _read_another_checkpoint(folder: Path) -> list:
    return nodes_of(
        lambda: tf.raw_ops.RestoreV2(
            prefix=str(folder / "other" / "model"),
            tensor_names=["fc2/bias"],
            shape_and_slices=[""],
            dtypes=[tf.float32],
            name="save/other",
        )
    )


@pytest.mark.parametrize("place", ["y_pred", "conv1/output"])
@pytest.mark.parametrize(
    "attack", [_save_where_the_attacker_likes, _merge_what_is_there, _read_another_checkpoint]
)
def test_the_savers_own_operations_serve_nothing_else(run, tmp_path, attack, place):
    nodes = attack(tmp_path)
    edit(run, lambda meta: hang_on(meta, place, nodes))
    before = {file.name for file in run.iterdir()}
    with pytest.raises(PigeonholeError, match=rf"refused: .*depends on '{nodes[-1].name}'.*{nodes[-1].op}"):
        Classifier.load(run)
    assert {file.name for file in run.iterdir()} == before
    assert {file.name for file in tmp_path.iterdir()} == {"run", "secret"}


def test_a_restore_that_would_write_or_read_elsewhere_is_not_run(run, tmp_path):
    edit(run, lambda meta: hang_on(meta, "save/restore_all", _save_where_the_attacker_likes(tmp_path)))
    with pytest.raises(PigeonholeError):  # the restore operation went with what it waits for
        Classifier.load(run)
    assert {file.name for file in tmp_path.iterdir()} == {"run", "secret"}


def test_a_savers_writing_part_is_left_out_of_the_restored_graph(run):
    with Classifier.load(run) as classifier:
        assert classifier.has("save/RestoreV2") and not classifier.has("save/SaveV2")


@pytest.mark.parametrize(
    "build",
    [
        lambda: v1.py_func(lambda value: value, [tf.constant(1.0)], tf.float32),
        lambda: v1.Print(tf.constant(1.0), ["seen"]),
        lambda: tf.print("seen"),
        lambda: tf.io.matching_files("/*"),
        lambda: tf.io.read_file("/etc/hostname"),
        lambda: tf.data.TextLineDataset("/etc/hostname"),
        lambda: tf.while_loop(lambda count: True, lambda count: count + 1, [tf.constant(0)]),
        lambda: tf.io.decode_png(tf.constant("")),
    ],
    ids=["python", "print", "print v2", "listing", "reading", "data set", "loop", "decoder"],
)
def test_what_no_classifier_needs_is_refused_even_where_it_is_not_reached(run, build):
    edit(run, lambda meta: meta.graph_def.node.extend(nodes_of(build)))
    with pytest.raises(PigeonholeError, match=r"refused: its node '.*' is the operation \w+"):
        Classifier.load(run)


def test_functions_are_looked_into(run, tmp_path):
    @tf.function
    def copy():
        tf.io.write_file(str(tmp_path / "copy"), "stolen")
        return tf.constant(1.0)

    def add(meta):
        meta.graph_def.library.function.append(copy.get_concrete_function().function_def)

    edit(run, add)
    with pytest.raises(PigeonholeError, match=r"refused: .*in the function __inference_copy_\d+.*WriteFile"):
        Classifier.load(run)


@pytest.mark.parametrize("name", graph_check.DESCRIPTION)
def test_what_describes_the_model_is_constant(run, name):
    def compute(meta):
        (node,) = [node for node in meta.graph_def.node if node.name == name]
        node.op = "Placeholder"

    edit(run, compute)
    with pytest.raises(PigeonholeError, match=f"the node {name} must be a constant, not Placeholder"):
        Classifier.load(run)


# --- what must go on working ---


def _trained(use_resource: bool, optimizer: v1.train.Optimizer, folder: Path) -> None:
    """A classic program's graph with much around it, saved."""
    pixels = v1.placeholder(tf.float32, [None, 16, 16, 3], "x")
    labels = v1.placeholder(tf.float32, [None, 2], "y_true")
    training = v1.placeholder_with_default(False, [], "training")

    def variable(name, *shape):
        return v1.get_variable(name, shape, use_resource=use_resource)

    hidden = tf.nn.relu(tf.nn.conv2d(pixels, variable("w", 3, 3, 3, 4), 1, "SAME") + variable("b", 4))
    hidden = tf.nn.lrn(tf.nn.max_pool(hidden, 3, 2, "SAME"))
    mean, variance = v1.cond(
        training, lambda: tf.nn.moments(hidden, [0, 1, 2]), lambda: (tf.zeros([4]), tf.ones([4]))
    )
    hidden = tf.nn.batch_normalization(
        hidden, mean, variance, variable("beta", 4), variable("gamma", 4), 1e-3
    )
    logits = tf.reshape(tf.nn.dropout(hidden, 0.5), [-1, 256]) @ variable("d", 256, 2)
    tf.nn.softmax(logits, name="y_pred")
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    step = v1.train.get_or_create_global_step()
    v1.summary.scalar("loss", loss)
    v1.summary.image("pictures", pixels)
    v1.summary.merge_all()
    optimizer.minimize(loss, global_step=step)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    v1.train.Saver(sharded=use_resource).save(session, str(folder / "model"))
    session.close()


OPTIMIZERS = [
    v1.train.AdamOptimizer(1e-3),
    v1.train.GradientDescentOptimizer(0.1),
    v1.train.MomentumOptimizer(0.1, 0.9),
    v1.train.RMSPropOptimizer(0.1),
    v1.train.AdagradOptimizer(0.1),
    v1.train.AdadeltaOptimizer(0.1),
    v1.train.FtrlOptimizer(0.1),
]


@pytest.mark.parametrize("use_resource", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_classic_programs_are_accepted(tmp_path, use_resource, optimizer):
    with tf.Graph().as_default():
        _trained(use_resource, optimizer, tmp_path)
    with metagraph.restore(tmp_path / "model") as session:
        assert session.run("y_pred:0", {"x:0": np.zeros((2, 16, 16, 3))}).shape == (2, 2)


def test_a_graph_with_a_second_saver_is_accepted(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", [2])
        v1.train.Saver()
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model"))
    with metagraph.restore(tmp_path / "model") as session:
        names = {operation.name for operation in session.graph.get_operations()}
    assert "save_1/RestoreV2" in names and "save/RestoreV2" not in names
