"""SCRAM against the example of RFC 7677, section 3."""

import pytest

from andon.kafka.scram import Scram, ScramFailure

NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


def exchange() -> Scram:
    return Scram("SCRAM-SHA-256", "user", "pencil", NONCE)


def test_the_example_of_the_standard() -> None:
    ours = exchange()
    assert ours.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert ours.final(FIRST) == FINAL
    ours.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_a_name_with_the_signs_of_the_grammar_is_escaped() -> None:
    assert Scram("SCRAM-SHA-512", "a=b,c", "p", "n").first() == b"n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"e=unknown-user",
        FIRST.replace(b"r=rOpr", b"r=sOpr"),
        FIRST.replace(b"i=4096", b"i=1"),
        FIRST.replace(b"i=4096", b"i=99999999999"),
        FIRST.replace(b"s=W22", b"s=*22"),
    ],
)
def test_a_first_answer_that_is_wrong_or_weak_gets_no_proof(answer: bytes) -> None:
    with pytest.raises(ScramFailure):
        exchange().final(answer)


def test_a_broker_that_does_not_know_the_password_is_found_out() -> None:
    ours = exchange()
    ours.final(FIRST)
    for answer in (b"", b"v=", b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"e=other-error"):
        with pytest.raises(ScramFailure, match="does not prove"):
            ours.verify(answer)
