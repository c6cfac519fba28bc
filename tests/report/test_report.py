import itertools
import re
from dataclasses import dataclass, field, replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data.fixes import Suspect
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import measures, predictions
from pigeonhole.evaluation.leakage import Copy
from pigeonhole.evaluation.studies import shortcuts
from pigeonhole.evaluation.studies.audit import AuditResult
from pigeonhole.evaluation.studies.learning_curve import Curve, Forecast, Outlook, PowerLaw
from pigeonhole.evaluation.studies.unseen import Unseen
from pigeonhole.features import known
from pigeonhole.model import metagraph
from pigeonhole.model.classifier import Classifier
from pigeonhole.networks import building
from pigeonhole.report import answers, atlas, data, page, pictures, writing
from pigeonhole.report.page import Section
from pigeonhole.report.pictures import GENEROSITY
from pigeonhole.runs.records import NextStep
from pigeonhole.runs.run import Run
from pigeonhole.statistics import CorrectedAccuracy, wilson_interval
from tests.support import report_runs
from tests.support.report_runs import CLASSES, HOSTILE, PICTURES, SIZE, Case

ALWAYS = ["summary", "figures", "confusion", "mistakes", "attention", "classes", "calibration", "random"]
OF_TRAINING = [
    *("intro", "curves", "balance", "preflight", "sample", "augmentation"),
    *("layers", "filters", "maps", "settings"),
]


@dataclass
class Page(HTMLParser):
    """What a test wants to know of an HTML page."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    without_alternative: list[str] = field(default_factory=list)
    handlers: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    matrices: list[list[list[str]]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _in_matrix: bool = False

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        self.handlers += [name for name in given if name.startswith("on")]
        if tag == "img" and not given.get("alt"):
            self.without_alternative.append(given["src"][:60])
        if tag == "table":
            self._in_matrix = "matrix" in given.get("class", "").split()
            self.matrices += [[]] if self._in_matrix else []
        if self._in_matrix and tag == "tr":
            self.matrices[-1].append([])
        if self._in_matrix and tag == "td":
            self.matrices[-1][-1].append("")
        if tag not in ("img", "meta", "link", "input", "path", "rect", "use"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag == "table":
            self._in_matrix = False
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, text):
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.texts.append(text)
        if self._in_matrix and "td" in self._open:
            self.matrices[-1][-1][-1] += text

    @property
    def text(self) -> str:
        """All of it, with single spaces."""
        return " ".join(" ".join(self.texts).split())


def parse(path: Path) -> Page:
    parsed = Page()
    parsed.feed(path.read_text("utf-8"))
    return parsed


@pytest.fixture(scope="module")
def written(case):
    """The page after a training and a test."""
    write_training(case)
    return writing.write_test(case.run, case.evaluation, case.measures, {}, case.classifier)


@pytest.fixture(scope="module")
def parsed(written):
    return parse(written)


def write_training(
    case: Case, corrected: CorrectedAccuracy | None = None, findings: AuditResult | None = None
) -> Path:
    told = case.measures
    corrected = corrected or CorrectedAccuracy(told.right, told.total, 0.0, 1, kept=1)
    judged = writing.Judged(case.evaluation, told, corrected)
    return writing.write_training(case.run, case.sets, judged, case.classifier, findings or AuditResult())


def another_run(case: Case, folder: Path) -> Case:
    """The same in a folder without a report."""
    report_runs.write_facts(folder, case.sets.classes)
    return replace(case, run=Run(folder))


@pytest.fixture(scope="module")
def explained(case, tmp_path_factory) -> Case:
    """The same, by a run that keeps its training pictures, with its report."""
    kept = another_run(case, tmp_path_factory.mktemp("explained"))
    report_runs.keep_pictures(kept)
    names, classes = case.evaluation.names, case.evaluation.classes
    suspects = [Suspect(names[row], classes[0], classes[1], 0.1, 0.9, 0.8) for row in (0, 3)]
    write_training(kept, findings=AuditResult(suspects=suspects, all_labels=True))
    writing.write_test(kept.run, case.evaluation, case.measures, {}, case.classifier)
    return kept


def shown(sections: list[Section]) -> str:
    """The words of these sections."""
    parsed = Page()
    for each in sections:
        parsed.feed(each.html)
    return parsed.text


def summary(case: Case, told: measures.Measures, corrected: CorrectedAccuracy | None = None, **more) -> str:
    """The words of the page's first section, as a training (or, of_test, a test) writes it."""
    nowhere = (np.arange(0), np.empty((0, SIZE, SIZE)))
    given = {"of_test": False, **more}
    made = answers.Answers(case.evaluation, told, nowhere, corrected=corrected, **given)
    return shown([made._summary(GENEROSITY[0])])


def section(case: Case, name: str) -> str:
    return page.read(case.run)[name].html


# --- why an answer was given ---


@pytest.mark.parametrize(("name", "has_itself"), [("mistakes", False), ("test-mistakes", True)])
def test_mistakes_stand_above_the_training_pictures_most_like_them(explained, name, has_itself):
    html = section(explained, name)
    lists = re.findall(r'<ol class="nearest".*?</ol>', html, re.DOTALL)
    wrong = answers.most_confident_mistakes(explained.evaluation)
    assert len(lists) == len(wrong[:20])
    for row, found in zip(wrong, lists, strict=False):
        assert found.count("<li title=") == 3 and found.count("data:image/jpeg;base64,") == 3
        # A test picture may be one of the training; a picture of the training is not its own neighbour.
        assert (f'title="{explained.evaluation.names[row]}"' in unescape(found)) is has_itself


def test_the_map_shows_classes_mistakes_and_suspects(explained):
    html = section(explained, "map")
    mistakes = np.count_nonzero(~explained.evaluation.right)
    assert len(re.findall(r'<circle class="[^"]* mistake"', html)) == mistakes
    assert len(re.findall(r'<path class="[^"]* suspect"', html)) == 2
    places = set(re.findall(r'data-at="(\d+)"', html))
    assert len(places) == explained.evaluation.total
    assert re.search(r"<b>\d+\.\d\W%</b> of the pictures have one of their own class", html)
    assert f"with {mistakes} mistakes and 2 labels that look wrong" in html
    assert HOSTILE not in html and all(f">{name}</text>" in unescape(html) for name in CLASSES)
    assert "data-columns" in html


def test_of_many_pictures_those_that_are_marked_come_first(explained, monkeypatch):
    monkeypatch.setattr(atlas, "MOST_SHOWN", 15)
    kept = known.read(explained.run)
    marked = {kept.names[3], kept.names[30]}
    found = atlas.Atlas.of(kept, CLASSES, marked, ())
    assert len(found.marks) == 15 and {mark.name for mark in found.marks if mark.is_mistake} == marked
    for limits in GENEROSITY:
        html = found.section(limits).html
        assert ("data-columns" in html) is (limits.side >= atlas.SMALLEST_SIDE) and "15 of 36" in html


def test_a_run_without_training_pictures_has_neither(case, written):
    sections = page.read(case.run)
    assert "map" not in sections and "nearest" not in sections["mistakes"].html


# --- the page ---


def test_every_section_is_there(case, written, parsed):
    stored = page.read(case.run)
    assert {*ALWAYS, *OF_TRAINING, *(f"test-{name}" for name in ALWAYS), "test-skipped"} <= stored.keys()
    shown = stored.keys() - {"intro", "summary", "test-summary"}
    assert shown <= set(parsed.ids)
    order = [name for name in parsed.ids if name in shown]
    assert order == [name for _, _, names in page.PARTS for name in names if name in shown]


def test_each_identifier_is_there_once(parsed):
    assert sorted(parsed.ids) == sorted(set(parsed.ids))


def test_every_link_leads_to_something(parsed):
    inside = [link for link in parsed.links if link.startswith("#")]
    assert len(inside) > 30
    assert {link[1:] for link in inside} <= set(parsed.ids)


def test_nothing_comes_from_elsewhere(written, parsed):
    assert all(link.startswith("#") or link == "data:," for link in parsed.links)
    assert all(source.startswith("data:image/") for source in parsed.sources)
    html = written.read_text("utf-8")
    assert not re.search(r"url\((?!#)|@import|<link(?! rel=\"icon\" href=\"data:,\")|<iframe|fetch\(", html)
    assert set(re.findall(r"https?://[^\"' <)]*", html)) <= {"http://www.w3.org/2000/svg"}


def test_every_picture_has_a_text_alternative(parsed):
    assert parsed.tags.count("img") > 50
    assert not parsed.without_alternative


def test_headings_skip_no_level(parsed):
    levels = [int(tag[1]) for tag in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_names_cannot_break_out_of_the_page(written, parsed):
    assert HOSTILE not in written.read_text("utf-8").replace("&lt;", "")
    assert parsed.handlers == []
    assert parsed.tags.count("script") == 1
    assert f"said {HOSTILE}" in parsed.text or HOSTILE in parsed.text


def test_a_name_that_is_no_text_is_written_all_the_same(case, tmp_path):
    odd = [f"odd/\udcff{number}.png" for number in range(case.evaluation.total)]
    changed = replace(case.evaluation, names=odd)
    written = writing.write_test(Run(tmp_path), changed, case.measures, {}, case.classifier)
    assert b"odd/" in written.read_bytes()
    written.read_text("utf-8")


# --- its numbers ---


def test_the_figures_are_those_given(case, parsed):
    figures = case.measures
    low, high = figures.interval
    for text in (
        f"{100 * figures.accuracy:.1f} %",
        f"{figures.right} of {figures.total} right; 95 % interval {100 * low:.1f} to {100 * high:.1f} %",
        "Nearest thumbnail 40.0 %",
        f"One class for all {100 * figures.majority[1]:.1f} %",
        f"Calibration error {100 * figures.ece_calibrated:.1f} %",
        f"{100 * figures.ece_raw:.1f} % before calibration",
        f"Unsure {100 * figures.unsure:.1f} %",
        f"Torn {100 * figures.torn:.1f} %",
    ):
        assert text in parsed.text


def test_the_confusion_matrix_is_the_one_given(case, parsed):
    matrix = case.measures.confusion
    expected = [[*row, sum(row)] for row in matrix.tolist()]
    assert len(parsed.matrices) == 2
    for drawn in parsed.matrices:
        numbers = [[int(cell.strip().replace("·", "0") or 0) for cell in row] for row in drawn[1:]]
        assert numbers == expected


def test_each_class_has_its_figures(case, parsed):
    text = parsed.text
    for each in case.measures.classes:
        for share in (each.recall, each.precision):
            if share is not None:
                assert f"{100 * share:.1f} %" in text


def test_the_training_is_told_by_its_numbers(case, parsed):
    text = parsed.text
    parameters = sum(layer.parameters for layer in case.classifier.layers)
    assert f"A standard network of {parameters:,} weights, trained on {case.sets.train.num_examples} " in text
    assert "in 3 min 51 s" in text
    assert "the saved network is that of epoch 2, after 20 steps" in text
    assert f"{3 * PICTURES + 1} files found = {3 * PICTURES} used + 1 skipped" in text
    assert "cat/broken.png: " in text
    assert "beeda46c" in text
    assert "learning rate 0.005" in text


def test_the_page_says_how_far_to_trust(case):
    sure = replace(
        case.measures, interval=(0.812, 0.839), majority=("cat", 0.1), ece_calibrated=0.02, total=900
    )
    first, second = answers.in_short(sure, (0.812, 0.839))
    assert first.startswith("Of 100 new pictures like these, expect it to get 81 to 84 right; ")
    assert first.endswith("always answering “cat” would get 10.")
    assert "differ by 2.0 percentage points" in second
    assert "can be trusted" in second


def test_the_page_warns_of_what_cannot_be_trusted(case):
    poor = replace(case.measures, majority=("cat", 0.5), ece_calibrated=0.2, total=20)
    first, second, third = answers.in_short(poor, (0.4, 0.7))
    assert first.startswith("Do not rely on it: always answering “cat” would be right in 50.0")
    assert "only 20 pictures" in second
    assert "differ by 20.0 percentage points" in third


@pytest.mark.parametrize(
    ("right", "majority", "thumbnail", "said"),
    [
        (
            21.0,
            0.5,
            0.4,
            "it is not surely better than a rule without learning (always answering 'cat' would",
        ),
        (30.0, 0.5, 0.8, "it is not better than a rule without learning (the class of the most similar"),
    ],
)
def test_the_page_says_first_that_nothing_useful_was_learnt(case, right, majority, thumbnail, said):
    told = replace(case.measures, right=30, majority=("cat", majority), nearest_thumbnail=thumbnail)
    corrected = CorrectedAccuracy(right, total=40, optimism=0.0, validations=1, kept=2)
    text = summary(case, told, corrected)
    assert text.count(f"The network has learnt nothing useful: {said}") == 1
    assert "then try another --network" in text and "Of 100 new pictures" not in text
    assert "learnt nothing" not in summary(case, told, replace(corrected, right=39.5))


def test_a_chosen_network_is_told_without_its_luck(case):
    corrected = CorrectedAccuracy(right=20.0, total=40, optimism=0.05, validations=7, kept=2)
    nowhere = (np.arange(0), np.empty((0, SIZE, SIZE)))
    made = answers.Answers(case.evaluation, case.measures, nowhere, of_test=False, corrected=corrected)
    text = shown(made.sections(GENEROSITY[-1]))
    low, high = wilson_interval(20.0, 40)
    assert "50.0 % of new pictures expected right" in text
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" in text
    assert "was chosen from 7 validations, and a choice is in part luck: 5.0 percentage points" in text


def test_what_to_do_next_stands_above_all_parts_and_pictures_judged_out_of_fold_have_their_name(
    case, tmp_path, parsed
):
    steps = [
        NextStep("add pictures of '<b>'", "the curve expects more", gain=0.02),
        NextStep("train longer", "time was over", "pigeonhole train --minutes 4"),
    ]
    told, run = case.measures, another_run(case, tmp_path).run
    corrected = CorrectedAccuracy(told.right, told.total, 0.0, 1, 0)
    judged = writing.Judged(case.evaluation, told, corrected, next_steps=steps, out_of_fold=True)
    text = parse(writing.write_training(run, case.sets, judged, case.classifier, AuditResult())).text
    wanted = ["What to do next", "Add pictures of '<b>'", "The curve expects more.", "--minutes 4"]
    places = [text.index(each) for each in [*wanted, "The honest figures"]]
    assert places == sorted(places)
    assert "validation pictures" not in text.lower()
    assert "All pictures" in text and "answered by a head that was fitted to others" in text
    assert "What to do next" not in parsed.text and "Validation pictures" in parsed.text


# --- writing again ---


def test_a_test_renews_its_part_alone(case, tmp_path):
    run = another_run(case, tmp_path).run
    half = case.evaluation.select(np.arange(case.evaluation.total) % 2 == 0)
    writing.write_test(run, case.evaluation, case.measures, {}, case.classifier)
    first = page.read(run)
    assert first and all(section.of_test for section in first.values())
    write_training(replace(case, run=run))
    before = page.read(run)
    assert {name: section for name, section in before.items() if section.of_test} == first
    writing.write_test(run, replace(half, skipped={}), measures.measure(half), None, case.classifier)
    after = page.read(run)
    of_training = {name: section for name, section in before.items() if not section.of_test}
    assert of_training and {name: each for name, each in after.items() if not each.of_test} == of_training
    assert "test-skipped" in before and "test-skipped" not in after
    assert f"all {half.total} test pictures" in after["test-figures"].html
    assert "no record" in after["test-copies"].html
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_test_alone_makes_a_page(case, tmp_path):
    parsed = parse(writing.write_test(Run(tmp_path), case.evaluation, case.measures, {}, case.classifier))
    assert "test-confusion" in parsed.ids
    assert "curves" not in parsed.ids
    assert parsed.tags.count("h1") == 1


@pytest.mark.parametrize("content", ["{", '{"format": 1}', "[]", '{"format": 1, "sections": {"x": 3}}'])
def test_a_damaged_store_is_named(tmp_path, content):
    (tmp_path / "report.json").write_text(content, "utf-8")
    with pytest.raises(PigeonholeError, match=r"report\.json.*delete it"):
        page.update(Run(tmp_path), [Section("summary", "In short", "")])


def test_a_store_of_another_version_is_named(tmp_path):
    (tmp_path / "report.json").write_text('{"format": 2, "sections": {}}', "utf-8")
    with pytest.raises(PigeonholeError, match="another version"):
        page.read(Run(tmp_path))


def test_a_section_has_its_place():
    with pytest.raises(ValueError, match="weather"):
        Section("weather", "Sunny", "")


# --- what is there only when it was looked for ---


def test_test_pictures_from_the_training_are_named(case, tmp_path):
    names = list(case.evaluation.names)
    copies = {
        names[0]: Copy("cat/original.png", "train", True),
        names[5]: Copy("cat/other.png", "valid", False),
    }
    parsed = parse(writing.write_test(Run(tmp_path), case.evaluation, case.measures, copies, case.classifier))
    rest = np.delete(case.evaluation.right, [0, 5])
    text = parsed.text
    assert f"Without them {rest.sum()} of {len(rest)} are right: {100 * rest.mean():.1f} %" in text
    assert "cat/original.png train the same file" in text
    assert "cat/other.png valid looks the same" in text


def test_the_summary_depends_on_copies_of_training_pictures(case):
    no_part = "The test pictures took no part in the training"
    names, total = case.evaluation.names, case.evaluation.total
    few = {names[0]: Copy("cat/original.png", "train", True)}
    every = {name: Copy(name, "train", True) for name in names}

    def told(copies) -> str:
        return summary(case, case.measures, of_test=True, copies=copies)

    assert no_part in told({})
    for copies in (few, every):
        html = told(copies)
        assert no_part not in html and f"near-copies of them: {len(copies)} of {total}." in html
    assert f"nothing about new pictures: {total} of the {total} test pictures, or near-copies" in html
    html = told(None)
    assert no_part not in html and "is not known" in html


@pytest.fixture(scope="module")
def found(case, tmp_path_factory) -> tuple[AuditResult, str]:
    """All that a training can look for and find, and the words of its page."""
    every, records = case.sets.everything, {record.entry.name: record for record in case.sets.records}
    halved = PowerLaw(1000, error=np.full(9, 0.4), floor=np.zeros(9), exponent=np.ones(9), noise=np.zeros(9))
    outlook = Outlook("cat", 300, 0.5, Forecast(0.75, 0.7, 0.8), 0.25)
    findings = AuditResult(
        suspects=[Suspect(every.names[3], "cat", HOSTILE, 0.031, 0.942, 0.9)],
        all_labels=True,
        shortcuts=shortcuts.check(
            [records[name] for name in every.names], every.images, every.label_indices, every.class_names
        ),
        unseen=Unseen(
            "combined", 0.05, {"cat": (3, 8), HOSTILE: (2, 5)}, 0.3875, 0.2, 0.6, {"combined": 0.8}
        ),
        learning_curve=Curve((500, 1000), (0.2, 0.6), 200, (outlook,), 1000, halved),
    )
    written = write_training(another_run(case, tmp_path_factory.mktemp("found")), findings=findings)
    return findings, parse(written).text


def test_suspected_labels_are_shown(case, found):
    name, (_, text) = case.sets.everything.names[3], found
    assert f"in cat 3.1 % looks like {HOSTILE} 94.2 % {name}" in text
    assert f": 1 of {case.sets.everything.num_examples}." in text
    assert "--check-labels" not in text


def test_it_says_where_labels_were_not_looked_at(case):
    text = shown(data.sections(case.sets, None, AuditResult(suspects=[]), GENEROSITY[-1]))
    assert "Only the validation pictures were checked; training with --check-labels checks all." in text
    assert f"None of the {case.sets.valid.num_examples} labels looks wrong." in text


def test_the_shortcut_check_is_told(found):
    findings, text = found
    check = findings.shortcuts
    warned = check.lines()[0] if check.fires else "No shortcut was found."
    assert warned in text
    for finding in check.findings:
        both = (finding.overall.accuracy, finding.overall.expected)
        assert " ".join([finding.kind, *(f"{100 * share:.1f} %" for share in both)]) in text


def test_unseen_classes_are_told(found):
    _, text = found
    assert "About 39 in 100 pictures of a class" in text
    assert "prediction interval 20 to 60), compared with 5 in 100" in text
    assert "cat 3 8 37.5 %" in text
    assert f"{HOSTILE} 2 5 40.0 %" in text


def test_what_was_not_looked_for_is_not_there(parsed):
    assert not {"suspects", "shortcuts", "unseen", "learning-curve"} & set(parsed.ids)


def test_the_learning_curve_is_told(found):
    findings, text = found
    assert "With twice as many (2,000): 80.0 %" in text
    for line in findings.learning_curve.lines()[1:]:
        assert line[1:] in text
    assert "1,000 4,000" in text  # at the drawing's axis


# --- its size ---


@pytest.mark.parametrize("generous", range(len(GENEROSITY)))
def test_the_most_generous_limits_that_fit_are_taken(generous):
    sizes = {limits: 1000 // (place + 1) for place, limits in enumerate(GENEROSITY)}
    max_bytes = sizes[GENEROSITY[generous]]
    (section,) = pictures.fitting(lambda limits: [Section("sample", "", "x" * sizes[limits])], max_bytes)
    assert section.num_bytes == max_bytes


@pytest.mark.slow
def test_a_page_of_many_noisy_pictures_stays_small(case, tmp_path):
    """300 classes, 6,000 pictures of 96 pixels that cannot be compressed, answered by chance."""
    random = np.random.default_rng(0)
    classes = [f"class of pictures number {number}" for number in range(300)]
    model = building.build("tutorial", SIZE, 3, len(classes))
    metagraph.save(model, classes, tmp_path, metagraph.Fitted(1))
    labels = np.arange(6000) % len(classes)
    noise = random.integers(0, 256, (6000, SIZE, SIZE, 3), np.uint8)
    names = [f"{'long' * 40}/{number}.png" for number in range(6000)]
    with Classifier.load(tmp_path) as classifier:
        answered = predictions.answer(classifier, tmp_path, names, labels, noise, names)
        spread = random.normal(size=answered.logits.shape).astype(np.float32)
        large = np.repeat(np.repeat(noise[:64], 6, axis=1), 6, axis=2)
        answered = replace(
            answered, logits=spread, probabilities=_softmax(spread), images=Repeated(large, noise)
        )
        of_test = answers.Answers(
            answered, measures.measure(answered), (np.arange(6), np.ones((6, 96, 96))), of_test=True
        )
        fitted = pictures.fitting(of_test.sections, writing.TEST_BYTES)
    assert sum(section.num_bytes for section in fitted) <= writing.TEST_BYTES
    assert any("<img" in section.html for section in fitted)
    assert writing.TEST_BYTES + writing.TRAINING_BYTES + page.FRAME_BYTES <= page.MAX_BYTES == 5_000_000
    assert len(page.assemble("run", {}).encode()) < page.FRAME_BYTES


class Repeated:
    """So many pictures as in `small`, each one of a few large ones."""

    def __init__(self, large: np.ndarray, small: np.ndarray):
        self._large, self.shape = large, (len(small), *large.shape[1:])

    def __getitem__(self, row):
        return self._large[np.asarray(row) % len(self._large)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_long_list_of_findings_is_cut(case):
    facts = case.sets.preflight.to_json() | {"strays": [f"stray {number}" for number in range(1000)]}
    stray = next(remark for remark in data.remarks(facts) if "outside" in remark.title)
    assert (stray.count, len(stray.names)) == (1000, data.NAMED)
