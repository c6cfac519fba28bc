"""What fine-tuning starts from."""

import numpy as np

from pigeonhole.jobs.first_answer import FirstAnswer


def test_the_last_layer_starts_right_but_unsure_from_the_training_pictures_alone():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(4, 1, (90, 8)).astype(np.float32)
    features[np.arange(90), labels] += 5
    features[60:] = np.nan  # the validation pictures
    first = FirstAnswer(None, None, features, slice(0, 6), 224, num_training=60, groups=np.arange(90))
    kernel, bias = first.start_of_last_layer(labels)
    assert kernel.shape == (6, 3) and bias.shape == (3,) and kernel.dtype == bias.dtype == np.float32
    logits = features[:60, :6] @ kernel + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (logits.argmax(axis=1) == labels[:60]).all()
    assert shares.max(axis=1).mean() < 0.9


def test_pictures_with_a_copy_among_the_training_pictures_are_not_judged_by():
    groups = np.array([0, 1, 2, 1, 3, 3])
    first = FirstAnswer(None, None, None, slice(0, 6), 224, num_training=3, groups=groups)
    assert first.unseen.tolist() == [False, True, True]
    only_copies = FirstAnswer(
        None, None, None, slice(0, 6), 224, num_training=3, groups=np.array([0, 1, 2, 2])
    )
    assert only_copies.unseen.tolist() == [True]
