"""Who judges: formulas, constraints, suites, campaigns, statistics, verdicts, evidence and reports."""
