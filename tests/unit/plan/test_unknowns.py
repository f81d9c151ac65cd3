"""What is told of a spec beside a part of it that made no sense."""

import pytest

TWO_QUEUES = "queues: {q: 10, spare: 10}"
SPARE = "no job writes to or reads from the queue spare"


class TestWhatIsWrongElsewhere:
    """Checks that look at several places are made of all that was understood."""

    @pytest.fixture
    def messages(self, found):
        def told(jobs, top=TWO_QUEUES):
            return [problem.message for problem in found(jobs, top)]

        return told

    @pytest.mark.parametrize("wrong", ["tags: [a b]", "workers: many", "timeouts: 5s", "rate: 5"])
    def test_a_queue_without_reader_is_told_beside_a_job_that_is_wrong(self, messages, wrong):
        told = messages({"w": "output: q", "r": f"input: q, {wrong}"})
        assert SPARE in told
        assert len(told) == 2

    @pytest.mark.parametrize(
        "top", ['vars: {a: "${HERE_IS_NONE}"}', "vars: {a: 1, a: 2}", "nam: x"]
    )
    def test_a_queue_without_reader_is_told_beside_what_is_no_job(self, messages, top):
        told = messages({"w": "output: q", "r": "input: q"}, f"{TWO_QUEUES}\n{top}")
        assert SPARE in told
        assert len(told) == 2

    def test_a_queue_whose_own_value_is_wrong_is_told_to_have_no_reader(self, messages):
        told = messages({"w": "output: q", "r": "input: q"}, "queues: {q: 10, spare: yes}")
        assert SPARE in told

    @pytest.mark.parametrize("wrong", ["inputs: spare", "source: {a: spare}", "queue: [spare]"])
    def test_what_a_misspelt_key_names_may_be_read(self, messages, wrong):
        (told,) = messages({"w": "output: q", "r": "input: q", "x": wrong})
        assert told.startswith("unknown key")

    @pytest.mark.parametrize("wrong", ["input: 5", 'input: "${HERE_IS_NONE}"', "input: {1: q}"])
    def test_an_input_that_cannot_be_told_may_be_of_any_queue(self, messages, wrong):
        told = messages({"w": "output: [q, spare]", "r": "input: q", "x": wrong})
        assert len(told) == 1

    def test_an_input_that_cannot_be_told_writes_to_no_queue(self, messages):
        told = messages({"w": "output: q", "r": "input: q", "x": "input: 5"})
        assert "no job writes to the queue spare" in told

    def test_a_misspelt_queue_is_not_told_to_lack_a_reader_as_well(self, messages):
        told = messages({"w": "output: [q, spare]", "r": "input: [q, spair]"})
        assert told == ["there is no queue spair"]

    def test_a_job_that_stands_twice_may_use_any_queue(self, messages):
        told = messages({"w": "output: q", "r": "input: q", '"w"': "output: spare"})
        assert told == ['the key "w" is given twice, first at 4:3']

    def test_a_job_whose_name_is_wrong_uses_the_queues_it_names(self, messages):
        top = "queues: {q: 10, spare: 10, other: 10}"
        told = messages({"w": "output: [q, spare]", "r": "input: q", "a b": "input: spare"}, top)
        assert told == ["no job writes to or reads from the queue other", '"a b" is not a name']

    def test_what_does_not_fit_a_job_is_told_beside_what_is_wrong_there(self, messages):
        told = messages({"x": "tags: [a b], retry: {attempts: 2}"}, "")
        assert told == [
            '"a b" cannot be a tag',
            "retry does not fit a job without input or named output",
        ]

    def test_a_case_of_which_something_is_wrong_is_checked_as_well(self, messages):
        cases = "{c: {give: {qq: [1]}, kill: {job: rr, at_item: 0}, expect: {exit_code: x}}}"
        told = messages({"w": "output: q", "r": "input: q"}, f"queues: {{q: 10}}\ntests: {cases}")
        assert {"there is no queue qq", "there is no job rr"} <= set(told)
        assert len(told) == 4

    def test_where_an_input_is_unclear_so_is_what_belongs_to_a_case(self, messages):
        cases = "{c: {give: {q: [1]}, expect: {jobs: {x: failed}}}}"
        told = messages(
            {"w": "output: q", "r": "input: q, output: p", "x": "input: 5"},
            f"queues: {{q: 10, p: 10}}\ntests: {cases}",
        )
        assert len(told) == 1

    def test_a_queue_that_no_job_uses_is_told_once_though_a_case_expects_its_items(self, messages):
        cases = "{c: {give: {}, expect: {queues: {spare: [1]}}}}"
        told = messages({"w": "output: q", "r": "input: q"}, f"{TWO_QUEUES}\ntests: {cases}")
        assert told == [SPARE]
