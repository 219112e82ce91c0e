"""Every installed channel keeps the contract, one nobody installed does too, and broken ones are caught.

The ids of the broken ones name the project whose defect each repeats (style.md, section 4).
"""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.specimen import ChannelSpecimen, MailSpecimen, TopicSpecimen
from andon.runtime.registry import Registry
from andon.testing import contract_mail, contract_topics
from andon.testing.contract_channels import LAWS, run
from andon.testing.rig import ContractBroken
from tests.contract import hook_channel as hook
from tests.contract import mail_mistakes as mail
from tests.rig.kafka import Kafka

GROUP = "andon.channels"
REGISTRY = Registry({GROUP: {"hook": hook.Hook}})

BROKEN = [
    pytest.param(hook.HttpStatusIsSuccess, "body_decides_under_http_200", id="apprise-http-200-is-success"),
    pytest.param(hook.MarkdownSentAsText, "kinds_are_told_apart", id="apprise-markdown-sent-as-text"),
    pytest.param(hook.ThrottleIsFinal, "throttle_is_retryable", id="alertmanager-throttle-is-final"),
    pytest.param(hook.LogsTheBody, "secret_is_never_shown", id="alertmanager-body-in-the-debug-log"),
    pytest.param(hook.TailOnTheLastOnly, "tail_ends_every_part", id="tail-on-the-last-only"),
    pytest.param(hook.CutsText, "whole_text_is_sent", id="n9e-cuts-text-at-4096"),
    pytest.param(hook.SwallowsExceptions, "call_that_never_left_is_not_ambiguous", id="quix-failure-swallowed"),
    pytest.param(hook.RecallIsNotRead, "recall_is_judged_by_its_answer", id="recall-is-not-read"),
    pytest.param(hook.TooFewReceipts, "good_answer_gives_a_receipt_per_recipient", id="vector-no-status-is-delivered"),
    pytest.param(hook.SilenceIsSuccess, "no_status_makes_a_success_of_a_foreign_answer", id="silence-is-success"),
    pytest.param(hook.SplitsInsideCharacters, "parts_joined_equal_the_text", id="splits-inside-characters"),
    pytest.param(hook.NumbersAndLoses, "parts_joined_equal_the_text", id="numbers-and-loses"),
    pytest.param(hook.RepairsByLeavingOut, "marked_up_text_loses_nothing_in_parts", id="repairs-by-leaving-out"),
    pytest.param(hook.LeaksTheSecret, "secret_is_never_shown", id="leaks-the-secret"),
    pytest.param(hook.FollowsRedirects, "redirect_is_not_followed", id="follows-redirects"),
    pytest.param(hook.IgnoresTheDeadline, "deadline_is_kept", id="ignores-the-deadline"),
    pytest.param(hook.RetriesByItself, "one_call_is_one_request", id="retries-by-itself"),
    pytest.param(hook.RaisesWhatItMeets, "no_status_makes_a_success_of_a_foreign_answer", id="raises-what-it-meets"),
    pytest.param(hook.EveryFailureIsSafe, "unjudged_answer_is_ambiguous", id="every-failure-is-safe"),
    pytest.param(hook.SwallowsCancellation, "cancellation_ends_the_call", id="swallows-cancellation"),
    pytest.param(hook.ReadsWithoutEnd, "huge_answer_is_not_read_to_its_end", id="reads-without-end"),
    pytest.param(hook.SharesState, "calls_at_the_same_time_do_not_mix", id="shares-state"),
    pytest.param(hook.TellsNobody, "everybody_named_is_in_what_is_sent", id="tells-nobody"),
    pytest.param(hook.TellsTheFirst, "everybody_named_is_in_what_is_sent", id="tells-the-first"),
    pytest.param(hook.Blocks, "sending_leaves_the_event_loop_to_others", id="blocks"),
    pytest.param(hook.KnowsItsKindsOnly, "unknown_kind_breaks_no_split", id="knows-its-kinds-only"),
    pytest.param(hook.RefusalIsAThrottle, "refusal_is_final", id="refusal-is-a-throttle"),
    pytest.param(hook.QuotesWords, "secret_is_never_shown", id="quotes-words"),
    pytest.param(hook.QuotesDepths, "secret_is_never_shown", id="quotes-depths"),
    pytest.param(hook.TakesAnyKey, "configuration_refuses_unknown_keys", id="takes-any-key"),
]


def kinds(specimen: type) -> list[str]:
    """The channels whose specimen is of this type: each has its contract."""
    return [kind for kind in REGISTRY.kinds(GROUP) if isinstance(REGISTRY.plug_in(GROUP, kind).specimen, specimen)]


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", kinds(ChannelSpecimen))
def test_channel_keeps_the_law(kind: str, name: str) -> None:
    run(name, REGISTRY.plug_in(GROUP, kind))


@pytest.mark.parametrize("name", contract_mail.LAWS)
@pytest.mark.parametrize("kind", kinds(MailSpecimen))
def test_channel_of_mail_keeps_the_law(kind: str, name: str) -> None:
    contract_mail.run(name, REGISTRY.plug_in(GROUP, kind))


@pytest.mark.kafka
@pytest.mark.parametrize("name", contract_topics.LAWS)
@pytest.mark.parametrize("kind", kinds(TopicSpecimen))
def test_channel_of_events_keeps_the_law(kind: str, name: str, kafka: Kafka) -> None:
    contract_topics.run(name, REGISTRY.plug_in(GROUP, kind), kafka.bootstrap, kafka.topic("contract"))


def test_only_the_channel_to_any_system_is_judged_by_its_status() -> None:
    kind_of_status = [kind for kind in kinds(ChannelSpecimen) if REGISTRY.plug_in(GROUP, kind).specimen.by_status]
    assert kind_of_status == ["webhook"]


@pytest.mark.parametrize("name", LAWS)
def test_webhook_judged_by_its_body_keeps_the_law_as_a_vendors_channel_does(name: str) -> None:
    run(name, hook.BodyDecides)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("channel", [hook.Post, hook.Lines, hook.Lists])
def test_a_vendor_may_answer_in_a_form_of_its_own(channel: type[Any], name: str) -> None:
    run(name, channel)


def test_every_channel_has_a_contract() -> None:
    assert sorted(kinds(ChannelSpecimen) + kinds(MailSpecimen) + kinds(TopicSpecimen)) == sorted(REGISTRY.kinds(GROUP))


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        (mail.RefusedRecipientCounts, "refused_recipient_is_parked_and_the_others_have_it"),
        (mail.OneRefusalRefusesAll, "refused_recipient_is_parked_and_the_others_have_it"),
        (mail.OneWaitsSoAllWait, "recipient_that_is_to_wait_waits_alone"),
        (mail.WaitingIsForgotten, "recipient_that_is_to_wait_waits_alone"),
        (mail.LostIsNeverAmbiguous, "lost_after_the_end_is_ambiguous"),
        (mail.LostIsNeverAmbiguous, "deadline_is_kept_and_tells_the_two_apart"),
        (mail.LostIsAlwaysAmbiguous, "lost_before_the_end_is_not_sent"),
        (mail.LostIsAlwaysAmbiguous, "call_that_never_left_is_not_ambiguous"),
        (mail.NewMessageIdEachTime, "repeat_has_the_same_message_id"),
        (mail.SubjectAsItIs, "lines_of_the_text_become_no_headers"),
        (mail.RecipientAsItIs, "recipient_that_is_no_address_is_parked"),
        (mail.ForgetsTheDots, "each_kind_is_one_whole_mail"),
        (mail.SaysNothingOfMachines, "machines_are_told_that_a_machine_sends"),
        (mail.EveryRefusalLasts, "passing_refusal_is_retryable"),
        (mail.ShowsWhatTheServerSaid, "secret_is_never_shown"),
        (mail.TriesThePasswordAgain, "refused_account_is_left_alone"),
    ],
)
def test_broken_channel_of_mail_is_caught(channel: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        contract_mail.run(name, channel)


@pytest.mark.parametrize(("channel", "name"), BROKEN)
def test_broken_channel_is_caught(channel: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, channel)
