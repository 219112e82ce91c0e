"""Languages of receivers, and names of templates, that nothing goes by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from andon.config.mistakes import Path, hint
from andon.config.settings import Settings
from andon.config.templates import is_structured, language_of, languages, stem_of
from andon.egress.lints import mentions
from andon.egress.words import BUILT_IN, LANGUAGES

_TEMPLATES = frozenset(name.partition(".")[0] for name in BUILT_IN)


def mistakes(settings: Settings, files: Mapping[str, str], kinds: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Pairs of a place in andon.yaml and a sentence. `kinds` are those of all channels that are installed."""
    spoken: dict[Path, str] = {("site", "language"): settings.site.language}
    for name, receiver in settings.receivers.items():
        if receiver.language:
            spoken["receivers", name, "language"] = receiver.language
    yield from _of_languages(spoken, files)
    known = {*LANGUAGES, *(one for language in spoken.values() for one in languages(language) if one)}
    used = {*_TEMPLATES, *(one.template for one in settings.receivers.values())}
    for file in files:
        for text in _of_file(file, files, used, kinds, known):
            yield ("templates",), f"template {file} {text}"


def _of_languages(spoken: Mapping[Path, str], files: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    told = {*LANGUAGES, *filter(None, map(language_of, files))}
    for place, language in spoken.items():
        if not told & set(languages(language)):
            yield place, f"no template is in the language `{language}`{hint(language, told)}"


def _of_file(
    file: str, files: Mapping[str, str], used: Collection[str], kinds: Collection[str], known: Collection[str]
) -> Iterator[str]:
    """What its name says that is neither a kind of channel nor a language; a file that others include is named as they
    like, and of cards the kind of channel is judged with their fields."""
    if is_structured(file):
        language = language_of(file)
        if language and language not in known:
            yield f"is not used: no receiver has the language `{language}`{hint(language, known)}"
        return
    stem = stem_of(file)
    if stem in used or any(mentions(text, file) for name, text in files.items() if name != file):
        return
    template = max((one for one in used if stem.startswith(f"{one}.")), key=len, default=stem.partition(".")[0])
    said = stem[len(template) + 1 :].split(".") if len(stem) > len(template) else []
    for one in said:
        if one not in kinds and one not in known:
            near = hint(one, {*kinds, *known})
            yield f"is not used: `{one}` is neither a kind of channel nor the language of a receiver{near}"
            return
    if said[1:] and (len(said) > 2 or said[0] not in kinds or said[1] not in known):
        yield "is not used: a file is named NAME.CHANNEL_KIND.LANGUAGE and what it is sent as, in this order"
