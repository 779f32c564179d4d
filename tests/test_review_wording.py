"""More claims, written after the patterns and apart from those in the truths: by terse people,
by people who write much, and by people who write in their third language."""

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from syslab.review import causes_named, load_truth, names, pull, pulls
from syslab.review.form import read_pull
from syslab.review.wording import Verdict, catalogue, check_pattern

# (pull request, defect): claims that name its cause, claims that do not.
CLAIMS = {
    ("checkpoint-writer", "manifest-first"): (
        [
            "Commit marker goes out first. If we die during write_array, latest() hands a "
            "broken step to the restart path.",
            "manifest has to be the last thing written; otherwise a preempted job resumes "
            "from a checkpoint with missing .npy files",
            "Please write all arrays and only then manifest, now the reader can open not "
            "existing files",
            "Publishing the manifest up front makes a torn checkpoint look finished",
            "Swap these: data first, then manifest.json, since presence of manifest means complete",
            "crash between line 60 and 62 -> resume picks a step whose arrays don't exist",
        ],
        [
            "The manifest should list the dtype of each tensor.",
            "Checkpoints should be compressed before they are written.",
            "Step folders should be named by time.",
        ],
    ),
    ("checkpoint-writer", "error-lost"): (
        [
            "Blanket except drops ENOSPC on the floor; callers of wait() can't tell",
            "A failed checkpoint is invisible: no log, no metric, nothing raised",
            "Silently ignoring all the exceptions is dangerous, the user think checkpoint was"
            " saved",
            "IO errors vanish in the background thread and training carries on without any "
            "valid checkpoint",
            "broad except with pass; the caller is told everything is on disk",
        ],
        [
            "An exception in save would lose the copy.",
            "The thread should have a name.",
        ],
    ),
    ("registry-client", "endless-retry"): (
        [
            "No attempt cap: a typo in base_url spins here until somebody kills the pod",
            "we need max attempts here, else the worker loops for eternity when registry is dead",
            "This loop has no exit condition on persistent failure",
            "400 workers will retry forever against a dead service",
            "should fail after N tries",
            "If the service never comes back, neither does this function",
        ],
        [
            "Retry should also cover 500.",
            "Each retry should be logged.",
            "retry, loop, forever, limit, max, cap",
        ],
    ),
    ("registry-client", "timeout-lost"): (
        [
            "The 10 s timeout disappeared in the refactoring",
            "opener called without timeout, a stalled server blocks start-up",
            "where is timeout? before was 10",
            "Regression: socket can now block forever, previously limited to ten seconds",
            "no timeout any more",
        ],
        [
            "The response body is read without a size limit.",
            "Sleeping up to 20 s blocks the worker.",
        ],
    ),
    ("kv-planner", "query-heads"): (
        [
            "Llama-3 uses GQA (8 kv heads), so this is off by 8x",
            "K and V are stored per key/value head, not per query head",
            "You take attention heads but cache have only kv heads, result is too big",
            "wrong head count for grouped-query models",
            "num_key_value_heads is what counts for the cache",
        ],
        [
            "heads is a bad name.",
            "The cache needs scales when it is quantised.",
            "The attention layers should be counted without the MoE ones.",
        ],
    ),
    ("kv-planner", "gib-for-gb"): (
        [
            "Unit mix-up: data sheets use decimal GB, 2**30 is GiB",
            "80 GB is 80e9 bytes, not 80 * 2**30; we will overcommit by 7%",
            "2**30 should be 1e9",
            "GB vs GiB",
            "docstring promises 1e9, multiplication uses 1024**3",
        ],
        [
            "memory_gb should be an int.",
            "reserved_share is a magic number.",
        ],
    ),
    ("request-audit", "authorization-logged"): (
        [
            "This writes the Authorization header to disk in clear text",
            "API keys of customers get logged; a denylist is the wrong default",
            "The log contain bearer token, analytics people can use it",
            "credentials end up in the audit trail",
            "Denylist misses Authorization",
            "anyone reading the audit files can impersonate the clients because the auth "
            "header is kept",
        ],
        [
            "Twelve hex digits of the tenant are too few.",
            "The key of the hmac should be rotated.",
            "Is it allowed by law to log the user agent?",
        ],
    ),
    ("request-audit", "shared-extra"): (
        [
            "Classic mutable default; state bleeds across requests",
            "setdefault mutates the shared default dict so the model sticks",
            "The dictionary of default argument is created only one time and then changed, "
            "next call see old model",
            "extra={} is evaluated once, later calls see earlier values",
            "dangerous default argument",
        ],
        [
            "extra should come before key.",
            "fields overrides the time of the record.",
        ],
    ),
    ("request-audit", "hourly-handle"): (
        [
            "Leaks a file descriptor on every rotation",
            "close the old file first",
            "the last hour file is never closed",
            "self.out is overwritten without being closed",
            "each hour one more open file remains",
        ],
        [
            "Opening a file for each hour is wasteful.",
            "The file should be opened with a lock.",
        ],
    ),
    ("accumulate-half", "divided-twice"): (
        [
            "Double normalisation: /micro_batches in add, /count in mean",
            "The gradient ends up divided by 64 instead of 8",
            "mean is applied two times so the update is eight times too small",
            "count equals micro_batches so we divide by it twice",
            "the mean of means is again divided, makes the learning rate effectively lr/8",
        ],
        [
            "The gradient should be clipped before it is averaged.",
            "The loss scale is not divided out.",
        ],
    ),
    ("accumulate-half", "half-sum"): (
        [
            "Accumulating in fp16 loses the small contributions",
            "zeros_like inherits the half dtype; accumulate in float32",
            "sum buffer is float16 -> overflow to inf",
            "dtype of total should be float32",
            "fp16 running sum",
        ],
        [
            "The weights are cast to float16 at every step.",
            "norm should use float32.",
        ],
    ),
    ("encoder-benchmark", "nothing-encoded"): (
        [
            "encode_iter is lazy, so the loop times generator construction",
            "No tokens are produced inside the timed region",
            "old code did list(encode(text)), new code don't, candidate does not run",
            "the generator isn't drained",
            "You benchmark the creation of a generator, which is O(1)",
        ],
        [
            "The benchmark should use real texts.",
            "The encoder is made per worker.",
        ],
    ),
    ("encoder-benchmark", "mean-of-p99"): (
        [
            "Averaging p99s across workers is meaningless",
            "compute p99 from all samples",
            "sum of percentiles / workers is statistically wrong",
            "p99 of p99s is not meaningful, and neither is their mean",
            "percentile averaging",
        ],
        [
            "p99 of so few values is noise.",
            "Report the median too.",
        ],
    ),
    ("encoder-benchmark", "cold-start"): (
        [
            "Missing warmup iteration",
            "The one-time merge table construction is inside the measurement",
            "first encode of each worker is cold and should be excluded",
            "table build time pollutes the numbers",
            "warm up each encoder before timing",
        ],
        [
            "gc.disable changes what is measured.",
            "The first worker has an empty cache of pages.",
        ],
    ),
    ("adapter-index", "upgraded-for-all"): (
        [
            "This write breaks every host that isn't deployed yet: their FORMAT is 1",
            "A read must not modify the shared index",
            "Rolling back is impossible once one new host has touched the index",
            "old binaries raise ValueError on format 2 while the rollout is half done",
            "please convert only in memory, not write the file back, others can't read it",
            "Forward-only upgrade of a file that both versions share",
        ],
        [
            "The index should have a checksum.",
            "os.getpid is the same on two hosts.",
            "upgraded should be a method.",
        ],
    ),
    ("adapter-index", "ms-against-s"): (
        [
            "time.monotonic is in seconds, idle_ms is milliseconds",
            "Off by a factor of 1000: unit mismatch",
            "you forgot to convert ms to s, idle adapters never unloaded in practice",
            "300000 seconds is more than 3 days, adapter will stay too long",
            "seconds versus milliseconds",
        ],
        [
            "The clock should be injected into unload_idle.",
            "unload_idle should hold a lock.",
            "300 s is too short for large adapters.",
        ],
    ),
    ("image-embeddings", "detail-not-in-key"): (
        [
            "key should include detail",
            "Cached embedding of low resolution gets served for high",
            "detail isn't part of the hash, so cache mixes one-tile and twelve-tile results",
            "the first request decides detail for all later requests of the same image",
            "cache key ignores a parameter (detail) that changes the result",
        ],
        [
            "The default of detail should be low.",
            "The image should be decoded before it is hashed.",
            "Another encoder version would need an empty cache.",
        ],
    ),
    ("image-embeddings", "locks-for-ever"): (
        [
            "busy leaks: nothing ever pops a key",
            "One Lock object per distinct image, never freed",
            "self.busy is unbounded while self.kept is bounded",
            "in weeks the dict busy will have millions of locks, need to remove them",
            "memory leak in the locks dictionary",
        ],
        [
            "The lock of guard is held too often.",
            "busy is a bad name.",
            "Images of many megabytes should be refused.",
        ],
    ),
    ("tenant-bucket", "clock-set-back"): (
        [
            "time.time() isn't monotonic",
            "NTP correction makes now - then negative, tokens get subtracted",
            "After VM resume clock jump gives every tenant a full burst",
            "wall clock must not be used for measuring of intervals",
            "prefer time.monotonic as default clock",
        ],
        [
            "The clock is read twice per request.",
            "_fill has no lock.",
            "The rate should be per minute.",
        ],
    ),
    ("tenant-bucket", "another-draw-each-run"): (
        [
            "seed the RNG",
            "Non-deterministic test, it will go red on unrelated commits",
            "the test uses global random without seed, result differs every run",
            "bounds of 3 % are too tight for random arrivals",
            "this will be a flaky test because of random numbers",
        ],
        [
            "The test takes too long.",
            "Use hypothesis for this test.",
            "19 should be larger than burst.",
        ],
    ),
    ("corpus-perplexity", "not-shifted"): (
        [
            "logits[i] predicts token i+1, so targets need a shift by one",
            "Targets and predictions are misaligned by one position",
            "row i is about the next token but you index it with the current one",
            "classic off-by-one: should be expected[:-1] against tokens[1:]",
            "probability of the token itself is scored instead of next token",
        ],
        [
            "The first token has no prediction.",
            "perplexity should use base 2.",
            "The cut at 4096 tokens should be counted.",
        ],
    ),
    ("corpus-perplexity", "seen-in-a-list"): (
        [
            "seen should be a set",
            "linear scan through a list for every id, O(n^2) overall",
            "list membership inside the loop over 300k docs is quadratic",
            "searching in a list gets slower with each document",
            "use a hash set, in on list is O(n)",
        ],
        [
            "once keeps all ids in memory.",
            "The documents should be shuffled.",
            "A document without id raises KeyError.",
        ],
    ),
}
# The same of the graded changes of mod-605.
GRADED_CLAIMS = {
    ("block-admission", "last-block"): (
        [
            "needs to round up: 33 // 32 == 1",
            "Off-by-one: the trailing partial block is never allocated",
            "blocks_needed(10) returns zero, short prompts get no memory",
            "Integer division drops the remainder, the final tokens have no KV block",
            "use ceil",
        ],
        [
            "Blocks should be of 32 tokens.",
            "A block is taken from the wrong end.",
            "The number of blocks is not checked in __init__.",
        ],
    ),
    ("block-admission", "sort-each-time"): (
        [
            "Sorting inside the loop makes admit O(k n log n); pop from the heap instead",
            "You maintain a heap and then sort it in every iteration",
            "with 20000 waiting this will take longer than a step because sort is repeated "
            "for each admitted request",
            "O(n log n) per admission; n is 20k",
            "the queue gets sorted up to 64 times per step",
        ],
        [
            "The heap compares dictionaries.",
            "Requests should be sorted by length.",
        ],
    ),
    ("latency-table", "no-way-down"): (
        [
            "The downgrade path is empty but the column it would need has been dropped",
            "rollback is impossible after this",
            "old binaries query latency_s, which no longer exists once region 1 has migrated",
            "down migration does nothing, database stay in new schema",
            "down_2 must restore latency_s",
            "A rolled back deploy would find a table it cannot read",
        ],
        [
            "The old table is dropped before the new one is renamed.",
            "Down migrations should be tested.",
            "Nothing is logged.",
        ],
    ),
    ("latency-table", "cut-to-seconds"): (
        [
            "CAST before multiply drops the milliseconds",
            "350 ms turns into 0 because of integer truncation",
            "you convert to integer too early",
            "Anything under one second is stored as 0",
            "multiply first, cast second",
        ],
        [
            "latency_ms should allow NULL.",
            "Integer is too small for milliseconds.",
        ],
    ),
    ("event-window", "wall-clock"): (
        [
            "time.time() isn't monotonic",
            "NTP step or VM resume breaks the window; use a monotonic clock",
            "measure elapsed time by wall clock is a mistake",
            "clock adjustments break dedup",
            "prefer monotonic time",
        ],
        [
            "The clock is called once per event.",
            "600 s is too short when a region is down.",
        ],
    ),
    ("event-window", "sleeping-test"): (
        [
            "Sleeping in tests with 20 ms slack will flake on CI",
            "This will be flaky under load",
            "real time in test is not reliable, scheduler may delay more than 50 ms",
            "Non-deterministic test: real sleep versus a 50 ms window",
            "CI noise will make this fail now and then",
        ],
        [
            "Tests should not use random numbers.",
            "The test of the window sets the clock to 600.",
        ],
    ),
    ("answer-store", "adapter-not-in-key"): (
        [
            "Cross-tenant leak: adapter isn't part of the hash",
            "Two requests that differ only in adapter get the same cached answer",
            "key_of ignores the LoRA weights of the tenant",
            "request['adapter'] is not hashed",
            "customer A can receive B's fine-tuned response",
        ],
        [
            "top_p is missing from the key.",
            "The key should be shorter.",
            "A tenant can fill the cache.",
        ],
    ),
    ("answer-store", "never-evicted"): (
        [
            "TTL is checked on read only; nothing is ever deleted",
            "unbounded growth of self.entries",
            "After weeks the memory will be full because old answers are not removed",
            "dict never shrinks",
            "needs eviction",
        ],
        [
            "The cache should be shared by Redis.",
            "A hit should renew the time of the entry.",
        ],
    ),
    ("latency-table", "mean-of-p99"): (
        [
            "Averaging p99s across days is meaningless",
            "compute p99 from all samples of the month",
            "sum of percentiles / days is statistically wrong",
            "the mean of daily quantiles weights quiet days too much",
        ],
        [
            "p99 of so few values is noise.",
            "Report the median too.",
        ],
    ),
}
TRUTHS = {name: load_truth(name, pull(name)) for name in pulls()}
DEFECTS = {(n, defect.id): defect for n, truth in TRUTHS.items() for defect in truth.defects}
SOURCE = Path(__file__).resolve().parent.parent / "source"
MOD_605, ASSESSMENT = SOURCE / "mod-605", SOURCE / "code-review"
GRADED_NAMES = sorted({name for name, _ in GRADED_CLAIMS})
GRADED_PULLS = {n: read_pull(n, (MOD_605 / f"{n}.toml").read_text()) for n in GRADED_NAMES}
GRADED = {
    (name, defect.id): defect
    for name, here in GRADED_PULLS.items()
    for defect in load_truth(MOD_605 / f"rubric-truth-{name}.toml", here).defects
}
KEYS = [pytest.param(*key, id="/".join(key)) for key in DEFECTS]


@pytest.mark.parametrize(("name", "which"), KEYS)
def test_own_claim_and_paraphrases_name_the_cause(name, which):
    defect = DEFECTS[name, which]
    assert len(defect.paraphrases) >= 3
    for claim in (defect.claim, *defect.paraphrases):
        assert names(claim, defect.words) == Verdict(True), claim


@pytest.mark.parametrize(("name", "which"), KEYS)
def test_near_misses_do_not(name, which):
    defect = DEFECTS[name, which]
    assert len(defect.near_misses) >= 2
    for claim in defect.near_misses:
        assert not names(claim, defect.words).named, claim


BOTH = {**CLAIMS, **GRADED_CLAIMS}


@pytest.mark.parametrize(("name", "which"), [pytest.param(*k, id="/".join(k)) for k in BOTH])
def test_claims_of_other_people(name, which):
    right, wrong = BOTH[name, which]
    words = {**DEFECTS, **GRADED}[name, which].words
    assert [claim for claim in right if not names(claim, words).named] == []
    assert [claim for claim in wrong if names(claim, words).named] == []


HEARD = tomllib.loads((Path(__file__).parent / "fixtures" / "review_claims.toml").read_text())


def truth_by_name(name):
    """What is planted in a change of the package, of mod-605 or of the assessment."""
    if name in TRUTHS:
        return TRUTHS[name]
    if name in GRADED_NAMES:
        return load_truth(MOD_605 / f"rubric-truth-{name}.toml", GRADED_PULLS[name])
    return load_truth(ASSESSMENT, pull(name, ASSESSMENT))


@pytest.mark.parametrize("heard", HEARD["true"], ids=lambda h: f"{h['pull']}/{h['defect']}")
def test_claims_of_a_reader_who_knew_nothing(heard):
    defect = next(d for d in truth_by_name(heard["pull"]).defects if d.id == heard["defect"])
    assert [claim for claim in heard["claims"] if not names(claim, defect.words).named] == []


@pytest.mark.parametrize("heard", HEARD["careless"], ids=lambda h: h["pull"])
def test_careless_claims_of_the_same_reader_name_nothing(heard):
    for defect in truth_by_name(heard["pull"]).defects:
        assert [claim for claim in heard["claims"] if names(claim, defect.words).named] == []


def test_every_defect_has_claims_of_other_people():
    assert set(DEFECTS) == set(CLAIMS)
    assert set(GRADED) == set(GRADED_CLAIMS)


def test_claims_about_other_defects_seldom_match():
    """Nothing was written for these pairs: what matches here matches by accident."""
    pairs = matches = 0
    for key, defect in DEFECTS.items():
        for other, about in DEFECTS.items():
            if other != key:
                for claim in (about.claim, *about.paraphrases, *about.near_misses):
                    pairs += 1
                    matches += names(claim, defect.words).named
    assert pairs > 3000
    assert matches / pairs < 0.01


def test_claims_about_a_neighbour_in_the_same_pull_request_do_not_match():
    confused = [
        (about.id, defect.id, claim)
        for truth in TRUTHS.values()
        for defect in truth.defects
        for about in truth.defects
        if about is not defect
        for claim in (about.claim, *about.paraphrases)
        if names(claim, defect.words).named
    ]
    assert confused == []


@pytest.mark.parametrize(("name", "which"), KEYS)
def test_keywords_name_nothing(name, which):
    """The words of the right claim as a list, all claims at once, or the whole catalogue."""
    defect = DEFECTS[name, which]
    for claim in (defect.claim, *CLAIMS[name, which][0]):
        words = re.findall(r"[\w']+", claim.lower())
        if len(words) >= 5:
            for between in (", ", " / ", "; ", "\n"):
                assert not names(between.join(words), defect.words).named
    assert not names(" ".join(other.claim for other in DEFECTS.values()), defect.words).named
    assert not names(
        "It may have a " + " or a ".join(cause["name"] for cause in catalogue().values()),
        defect.words,
    ).named


PATTERN = ("manifest* & @before & shard*",)


@pytest.mark.parametrize(
    "claim",
    [
        "There is no race here.",
        "I do not see any race between manifest and shards, the manifest is safe",
        "manifest before shards looks fine",
        "The order of manifest and shards is correct, LGTM",
        "The manifest is race free before the shards",
        "manifest, before, shards, race, fsync, retry, timeout",
        "manifest / before / shards / order / first / last",
        "race manifest shards before fsync rename atomic retry timeout leak",
        "The manifest before the shards races, retries without timeout, overflows and is quadratic",
    ],
)
def test_dismissals_and_lists_name_nothing(claim):
    assert not names(claim, PATTERN).named


@pytest.mark.parametrize(
    "claim",
    [
        "manifest is written before shards",
        "It looks fine with one process, but manifest is there before the shards",
        "The manifest must not be written before the shards",
        "No lock prevents a reader from seeing the manifest before the shards",
        "This is no small thing: the manifest precedes... it is first, shards second",
        "the manifets comes before the shards",
        "MANIFEST.JSON precedes: before all shards.",
        "is safe only when manifest is not before shards",
    ],
)
def test_negations_that_are_part_of_a_statement_count(claim):
    assert names(claim, PATTERN).named


def test_a_dismissal_in_one_sentence_leaves_the_next():
    assert names("The queue is fine. The manifest is before the shards.", PATTERN).named


def test_suggestion_is_read_with_a_claim_that_says_something():
    said = "Restart may fail."
    assert not names(said, PATTERN).named
    assert names(said, PATTERN, "Write the manifest after the shards.").named
    assert not names("No problem here.", PATTERN, "Write the manifest after the shards.").named


def test_exclamation_mark_excludes():
    words = ("token & log* & !no token",)
    assert names("the token is logged", words).named
    assert not names("no token is logged", words).named


@pytest.mark.parametrize("pattern", ["", "a & ", "a & @nosuchset", "!a", 3])
def test_patterns_are_checked(pattern):
    with pytest.raises(ValueError, match="pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["token & //", "* & token", "log|+= & token", "! = & token"])
def test_a_term_without_a_word_is_refused_and_named(pattern):
    with pytest.raises(ValueError, match="holds no word: a term needs a letter or a digit"):
        check_pattern(pattern)


def test_a_truth_with_such_a_term_is_refused_when_it_is_loaded(tmp_path):
    source = resources.files("syslab.review") / "data" / "truths" / "kv-planner.toml"
    path = tmp_path / "t.toml"
    path.write_text(source.read_text().replace("words = [", 'words = [ "wrong & **",', 1))
    with pytest.raises(ValueError, match="holds no word"):
        load_truth(path, pull("kv-planner"))


def test_causes_of_a_claim():
    assert causes_named("the retry has no timeout") == ("unbounded-retry", "no-timeout")
    assert causes_named("a fine change") == ()
