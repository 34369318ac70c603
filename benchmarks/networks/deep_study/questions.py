"""Stories with a question in the manner of the first bAbI task: where is somebody?

A story is some sentences such as "mary went to the garden"; the question names one of its people,
and the answer is the last place that this person went to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEOPLE = ("mary", "john", "daniel", "sandra")
VERBS = ("went", "moved", "travelled", "journeyed")
PLACES = ("garden", "kitchen", "office", "bathroom", "hallway", "bedroom")

#: Numbers of words; 0 is padding.
NUMBERS = {
    word: k for k, word in enumerate([*PEOPLE, *VERBS, *PLACES, "to", "the", "where", "is"], 1)
}
N_WORDS = len(NUMBERS) + 1


def generate(
    n_stories: int, n_sentences: int, seed: int
) -> tuple[list[list[list[str]]], list[list[str]], list[str]]:
    """Stories, questions and answers, as words.

    The answers come from where the people are while the story is told.
    """
    rng = np.random.default_rng(seed)
    shape = n_stories, n_sentences
    drawn = [rng.integers(len(words), size=shape) for words in (PEOPLE, VERBS, PLACES)]
    stories, questions, answers = [], [], []
    for people, verbs, places in zip(*drawn, strict=True):
        where: dict[str, str] = {}
        story = []
        for person, verb, place in zip(people, verbs, places, strict=True):
            where[PEOPLE[person]] = PLACES[place]
            story.append([PEOPLE[person], VERBS[verb], "to", "the", PLACES[place]])
        asked = list(where)[rng.integers(len(where))]
        stories.append(story)
        questions.append(["where", "is", asked])
        answers.append(where[asked])
    return stories, questions, answers


def solve(story: list[list[str]], question: list[str]) -> str:
    """The answer, from the words alone: the place of the last sentence about the person."""
    return next(sentence[-1] for sentence in reversed(story) if sentence[0] == question[-1])


def as_numbers(
    stories: list[list[list[str]]], questions: list[list[str]], answers: list[str]
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Inputs of a network by name, and classes: numbers of the places."""
    X = {
        "story": np.array([[[NUMBERS[w] for w in s] for s in story] for story in stories]),
        "question": np.array([[NUMBERS[word] for word in question] for question in questions]),
    }
    return X, np.array([PLACES.index(answer) for answer in answers])
