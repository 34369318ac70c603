"""Tables, tests and figures of the study's results, as a page of the documentation."""
