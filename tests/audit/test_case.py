"""What can be attacked in a corpus, and how intervals are resampled."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce.audit.case import Case
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError, CorpusError
from sottovoce.models.target import Target


def relabelled(case: Case, **labels: list[str]) -> Case:
    """The same with further labels, one for each clip; an empty one is none."""
    clips = tuple(
        replace(clip, labels={**clip.labels, **{task: column[i] for task, column in labels.items() if column[i]}})
        for i, clip in enumerate(case.manifest.clips)
    )
    manifest: Manifest = replace(case.manifest, clips=clips)
    return replace(case, manifest=manifest)


def test_what_is_not_permitted_can_be_attacked(case):
    assert case.attackable() == ["gender", "speaker"] == case.chosen(())
    assert case.chosen(["speaker"]) == ["speaker"]
    assert replace(case, permit=("word", "gender")).attackable() == ["speaker"]


def test_a_label_that_is_not_attacked_is_named_with_the_reason(case):
    mood = ["", *(("glad", "sad")[i % 2] for i in range(74))]
    once = np.array(["often", "rarely"] * 37 + ["often"])
    once[case.split.test[:1]] = "seldom"
    many = relabelled(case, mood=mood, accent=once.tolist(), visit=[str(i) for i in range(75)], room=["hall"] * 75)
    reasons = many.not_attacked(many.attackable())
    assert [reason.split()[2] for reason in reasons] == ["room"], "a number is estimated, and the others are attacked"
    assert "at least two classes" in reasons[0]
    left = many.left_out(many.attackable())
    assert left == [
        "the label accent was attacked without 'seldom', which no training clip has",
        "the label mood was attacked without 1 of 75 clips, which have no such label",
    ]
    assert "the label gender was not attacked: it was not asked for" in case.not_attacked(["speaker"])[0]


@pytest.mark.parametrize("name", ["user_id", "id", "userId", "client", "Participant", "device-uid"])
def test_a_number_that_is_a_name_is_classified(case, name):
    numbers = [str(1000 + i % 25) for i in range(75)]
    named = relabelled(case, **{name: numbers})
    assert named.continuous() == []
    assert name in named.attackable() or any(f"the label {name} " in reason for reason in named.not_attacked(()))


def test_a_number_with_leading_zeros_is_a_name(case):
    assert relabelled(case, badge=[f"{i % 25:04}" for i in range(75)]).continuous() == []


def test_a_number_that_tells_who_speaks_is_classified_too(case):
    many = relabelled(case, speaker=[f"s{i % 25:02}" for i in range(75)], weight=[str(50 + i % 25) for i in range(75)])
    assert ("weight" in many.attackable()) == ("speaker" in many.attackable())
    assert (many.continuous() == ["weight"]) == ("weight" not in many.attackable()), "one or the other"


def test_speakers_who_were_never_heard_cannot_be_named(case):
    by_speaker = replace(case, split=split(case.manifest, "speaker"))
    heard = {clip.labels["gender"] for clip in (case.manifest.clips[i] for i in by_speaker.split.test)}
    assert by_speaker.attackable() == ["gender"] * (len(heard) > 1)
    assert "fewer than two of its classes" in by_speaker.not_attacked(["gender"])[0]


def test_a_label_that_some_clips_lack_is_attacked_on_the_others(case):
    mood = ["", *(("glad", "sad")[i % 2] for i in range(74))]
    some = relabelled(case, mood=mood)
    assert "mood" in some.attackable() and not some.is_whole("mood") and some.is_whole("gender")
    for part in ("train", "validation", "test"):
        has = [bool(mood[i]) for i in some.clips(part)]
        assert some.picked("mood", part).tolist() == np.flatnonzero(has).tolist()
        assert len(some.labels("mood", part)) == sum(has)
    assert len(some.cluster("mood")[1]) == len(some.labels("mood", "test"))


def test_a_class_that_is_only_in_test_is_left_out_and_named(case):
    rare = np.array(["often", "always", "often"] * 25)
    rare[case.split.test[:2]] = "seldom"
    some = relabelled(case, accent=rare.tolist())
    assert "accent" in some.attackable()
    assert len(some.labels("accent", "test")) == len(case.split.test) - 2
    assert "'seldom', which no training clip has" in some.left_out(["accent"])[0]


def test_a_class_that_occurs_once_in_training_is_named(case):
    rare = np.array(["often", "always", "often"] * 25)
    rare[case.split.train[:1]] = "once"
    some = relabelled(case, accent=rare.tolist())
    assert some.left_out(["accent"]) == ["the label accent was not tested for 'once', which no test clip has"]


@pytest.mark.parametrize("labelled", [0, 1, 2])
def test_a_label_of_hardly_any_clip_is_named_with_the_reason(case, labelled):
    few = np.full(75, "", dtype=object)
    few[case.split.train[:labelled]] = ["yes", "no"][:labelled]
    some = relabelled(case, rare=few.tolist())
    assert "rare" not in some.attackable()
    assert bool(some.not_attacked(some.attackable())) == bool(labelled)


def test_numbers_with_gaps_are_estimated(case):
    ages = relabelled(case, age=["" if i % 9 == 0 else str(20 + i % 30) for i in range(75)])
    assert ages.continuous() == ["age"]
    assert sum(np.isnan(ages.numbers("age", part)).sum() for part in ("train", "validation", "test")) == 9


def test_whole_numbers_that_recur_may_be_names_where_nobody_is_named(case):
    clips = tuple(
        replace(clip, labels={"voice": str(i % 25), "kg": f"{i % 25}.5", "take": str(i)})
        for i, clip in enumerate(case.manifest.clips)
    )
    nameless = replace(case, manifest=replace(case.manifest, clips=clips), targets=(), permit=())
    assert ("voice" in nameless.attackable()) == ("voice" not in nameless.continuous())
    assert {"kg", "take"} <= {*nameless.continuous()} and "voice" in nameless.attackable()


@pytest.mark.parametrize("asked", ["word", "mood", "speaker,gender"])
def test_what_cannot_be_attacked_is_refused_with_what_can(case, asked):
    with pytest.raises(ConfigError, match=f"'{asked}' cannot be attacked .*: gender, speaker"):
        case.chosen([asked])


def test_a_corpus_without_anything_private_is_refused(case):
    with pytest.raises(ConfigError, match="no label that an attacker could learn"):
        replace(case, permit=("word", "gender", "speaker")).chosen(())


def test_few_speakers_are_no_sample_of_speakers(case):
    for parts in (case.split, split(case.manifest, "speaker")):
        name, cluster = replace(case, split=parts).cluster("gender")
        assert (name, len(set(cluster.tolist()))) == ("utterance", len(parts.test))


def test_many_speakers_are_resampled_unless_the_label_is_who_speaks(case):
    many = relabelled(case, speaker=[f"s{i % 25:02}" for i in range(75)])
    names = many.speakers("test")
    assert len(set(names)) >= 10
    name, cluster = many.cluster("gender")
    assert name == "speaker"
    assert [names.index(names[i]) for i in range(len(names))] == [cluster.tolist().index(c) for c in cluster]
    assert many.cluster("speaker")[0] == "utterance"


def test_a_label_with_many_numbers_is_estimated_and_not_classified(case):
    ages = relabelled(case, age=[str(20 + i % 30) for i in range(75)], digit=[str(i % 10) for i in range(75)])
    assert ages.continuous() == ["age"]
    assert ages.attackable() == ["digit", "gender", "speaker"]
    assert relabelled(case, age=["nan", *(str(i) for i in range(74))]).continuous() == []
    assert relabelled(case, speaker=[str(i) for i in range(75)]).continuous() == [], "names are no numbers"


def test_a_class_that_the_target_does_not_know_is_named(case):
    narrow = Target("word", ("no", "stop"), False, case.targets[0].logits)
    with pytest.raises(CorpusError, match="also has yes"):
        replace(case, targets=(narrow,)).labels("word", "test")


def test_another_split_is_another_case(case):
    other, one = replace(case, split=split(case.manifest, "utterance", 1)), case.split
    train, test = one.train.copy(), one.test.copy()
    train[0], test[0] = one.test[0], one.train[0]
    swapped = replace(case, split=replace(one, train=train, test=test))
    assert len({case.digest, other.digest, swapped.digest}) == 3
    assert replace(case, permit=()).digest == case.digest, "what is permitted changes nothing that is heard"
