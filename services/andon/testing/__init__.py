"""Parts for tests, shipped so that authors of plug-ins can use them: manual clock, builders, contract suites."""
