"""Every number that verdicts and questions to people rest on and that nobody can derive, with why it is what it is.

It computes nothing. What a user chooses (thresholds, the share of random faces) is no constant of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Constants:
    """One value of each, as `evidence.verdict` and `evidence.people` read them; a triage stores those that it used.

    A change is an experiment: figures that are told anywhere were reached with the defaults.
    """

    # what the probabilities mean to a reviewer

    unusable_worth: float = 0.5
    """What finding an unusable image is worth to a reviewer beside a label that is mended: the queue is ordered by the
    expected worth. Ambiguous faces are worth nothing there: they are a list of their own."""
    clearly: float = 0.82
    """Of labels that people would change, how many a large panel would *clearly* call something else (six in ten):
    where five of ten say so, the other five often do not agree. From the votes of FER2013's development rows, even
    half."""
    votes_spread: float = 0.7
    """Power of P(true label) that gives the soft label: which label most people would choose is surer than what the
    next one would say. On the even half of FER2013's development rows, of 0.4 to 1, with and without decisions and
    judges, 0.6 and 0.7 come nearest to the votes' shares (mean squared distance .144 to .217, against .161 to .236 with
    1)."""

    torn_power: float = 2.0
    """To which power P(people would agree) multiplies the worth of a look: its complement is too flat to keep torn
    faces, of which a reviewer can make nothing, out of the first hundreds."""
    torn_power_taught: float = 3.0
    """The same once people's decisions have taught which faces are torn. On the even half of FER2013's development rows
    that is .001 to .003 fewer ambiguous faces among the first 500 and at most .006 fewer clear errors; without
    decisions it would be .01 more of the former."""

    # the panel: recognizers, neighbours and the set's own noise

    neighbours_share: float = 0.7
    """How much the neighbours weigh beside the calibrated probabilities once their labels are corrected. Of 0.5, 0.7,
    0.85 and 1, 0.7 gains on FER2013's development rows (even half) and loses nowhere on drawn faces; more gains on the
    former and loses on the latter."""
    first_share: float = 0.5
    """The same before anything is corrected."""
    neighbour_rounds: int = 6
    """Corrections of the neighbours' labels; after four little changes."""
    spare_noise: float = 0.1
    """Share of the noise that is taken to be spread as the given labels are, beside the estimated transitions: less of
    it ranks FER2013's errors a little better and CIFAR-10N's a little worse."""
    share_rounds: int = 2
    """Rounds in which the classes' true shares are estimated: each ranks FER2013's errors better and, from the third
    on, drawn ones worse."""
    trust: float = 0.65
    """How far transitions are trusted where no neighbours speak and so many samples per class were seen that their
    number hardly matters (`panel.hedged`)."""
    trust_at: float = 400.0
    """Samples per class from which they are trusted by half of that."""

    # how many labels are wrong

    confident: float = 0.3
    """Of the samples that a recognizer puts into one class, the share about which it is surest."""
    own: float = 6.5
    """Of the labels that a recognizer does not contradict, so many times excess ** own_power are at most contradicted
    in error (`calibration.error_rate_interval`). These four were chosen on CIFAR-10N, on subsets with and without all
    classes, on recognizers made weak by noise in what they see, on drawn faces, and on simulated sets whose errors are
    as frequent everywhere."""
    own_power: float = 2.25
    """See `own`."""
    least_own: float = 0.6
    """Of the labels that are not contradicted at least least_own * excess ** 2 are contradicted in error: Swin, the
    strongest recognizer of CIFAR-10N, has 0.6 to 2, every other one more."""
    repeated: float = 0.14
    """Wrong labels that a recognizer repeats, as a share of its contradictions, at most: .05 to .09 of them where the
    classes are complete, .09 to .12 where images fit none, in the mean of the subsets; .15 in some."""
    no_witness: float = 0.55
    """A recognizer that contradicts so many of the labels says nothing about the least share of wrong ones."""
    doubted: float = 0.45
    """One that contradicts so many of them or fewer is heard in full."""
    planted_masses: tuple[float, float, float] = (0.3, 0.5, 0.7)
    """Shares of the planted errors, the most blatant first, by which the given labels are compared: low, estimate,
    high."""
    witness_rounds: int = 200
    """Most rounds of expectation-maximisation over what three witnesses say, over the combinations that occur: a
    million samples of 7 classes take 2 s, 200,000 of 100 classes a minute."""
    witness_change: float = 1e-5
    """The change of the share of wrong labels that ends them."""
    witness_margin: float = 0.05
    """How far the estimate may be off because witnesses do not err quite independently. On FER2013's development rows,
    with face-api's net, it says .30 where the votes say .29 to .31; on CIFAR-10N's worst labels, with nets taught by
    the aggregate ones, .38 for .40. As many numbers as the square of the classes are estimated: their share of the
    samples is added."""
    witness_agreement: float = 0.3
    """The agreement of judges and recognizers beyond chance (Cohen's kappa) from which on they bear witness. Of weak
    ones, or a judge who says the same of every face, the estimate counts their own errors as those of the labels.
    face-api's net and FER2013's recognizers reach .5."""

    # which faces are torn

    clear_panel: float = 0.55
    """The top share from which a panel clearly agrees."""
    torn_width: float = 0.06
    """By how much of the top share the odds of being torn fall to a third, about `clear_panel`."""
    separation: float = 0.6
    """How far apart torn and other faces are taken to lie in the order, in standard deviations, before anyone has
    looked: 0.6 is an AUROC of 0.66. It is 0.73 on the even half of FER2013's development rows, but 0.64 and 0.56 on
    drawn sets, and nothing in a set says which, so that few faces are called ambiguous before people's decisions or
    votes say more."""
    ambiguous_share: float = 0.1
    """The share of faces without a clear majority that is assumed before anyone has looked (FERPlus: 0.12, drawn faces:
    0.05)."""
    torn_level_ridge: float = 4.0
    """How strongly votes are kept from moving the level of the log-odds of being torn: one over the variance that
    `ambiguous_share` leaves open, 0.5 of a log-odds."""
    torn_slope_ridge: float = 10.0
    """The same for their slope: what `separation` leaves open is a third of it."""

    # what is right where a label is wrong

    smallest_said: float = 1e-3
    """Probabilities count as at least this, so that no source can veto a class."""
    judge_share: float = 0.6
    """To which power a judge's probabilities multiply the panel's before anyone has decided, and how much judges count
    for what is right where a label is wrong: errors of a net that saw other faces are its own, those of recognizers
    that learned from the same labels are shared, but nobody has shown yet how good a judge is here."""
    sharpness: float = 2.0
    """Power of the sources' geometric mean that says which other label is the true one: recognizers that learned noisy
    labels are too unsure of the right ones. Of 1.6, 2 and 2.6, on the even half of FER2013's development rows, 2 mends
    most where at most one change in four may be wrong."""

    # what decisions teach

    fewest_decisions: int = 10
    """Fewer decisions than this change nothing."""
    left_out_folds: int = 5
    """Parts of the decided rows, each judged by a model that was fitted without it."""
    source_ridge: float = 10.0
    """How strongly the weight of each source, and of each sign that people would not agree, is held where it is without
    decisions, in decisions per squared weight."""
    class_ridge: float = 0.5
    """The same for how often each class is the true one: learned first."""
    keep_ridge: float = 1.0
    """The same for how far the given label is to be trusted, whatever it is."""
    flow_ridge: float = 5.0
    """The same for each pair of given and true label. All four were chosen on the even half of FER2013's development
    rows; between half and double of each the figures move by less than 0.005."""

    unlike_ridge: float = 2000.0
    """How much more tightly all four hold where the decided rows are unlike the set (`truth.unlikeness`), over their
    number. On the even half of FER2013's development rows the first 10 to 30 of the queue alone rank the rest as well
    as no decision (AUPRC .73 and .81 with face-api's net, before .45 to .70 and .74 to .77), the first 300 .78 and .83
    where no decision has .71 and .75. Half or double of it moves these by .01."""
    heaviest: float = 10.0
    """By how much the square of a decision's weight may exceed the mean square (`truth.tempered`): the customary value.
    """

    # what a queue is expected to hold

    queue_draws: int = 2000
    """How often what is uncertain about a queue is drawn."""
    queue_slope: float = 1.05
    """Mean of the factor by which all log-odds may be too flat or too steep, at the estimated error rate. On drawn
    sets, CIFAR-10N and FER2013's development rows the best factor lies between 0.75 and 1.6."""
    queue_slope_spread: float = 0.15
    """Its standard deviation."""
    queue_tilt: float = 0.5
    """By how much the factor grows where the logarithm of the error rate is lower by one: where fewer labels are wrong
    than was thought, those that are stand out more. On drawn sets of 8 to 16 % wrong labels that were told 27 % it is
    1.2 to 1.6 where others have 0.95 to 1.2."""

    # what people are asked, and how far their answers speak

    few_drawn: int = 100
    """Drawn rows from which on they stand for all that nobody chose; a teaching round has as many. Without that limit
    one or three drawn rows beside 300 of the queue's first undo what those taught (AUPRC .68 and .59, with it .75 and
    .66, the 300 alone .75, nobody .71; means of 5 draws on the even half of FER2013's development rows)."""
    teaching_part: int = 5
    """A teaching round takes at most one row in so many: in a small set nothing would be left to hunt."""
    panel_votes: float = 2.0
    """How many votes the panel's word counts for where the votes themselves do not say (`votes.fit_strength`)."""
    panel_votes_spread: float = 1.0
    """How sure of that we are, in natural logarithms: a set of a few faces stays near it."""
    audit_strata: int = 5
    """Strata of an audit (`auditing.draw_audit`)."""
    audit_least: int = 10
    """Rows per stratum below which fewer are made: a stratum with two answers says nothing."""
    audit_cautious: tuple[float, float] = (0.02, 0.5)
    """What p_mislabelled is held to be at least and at most when an audit is planned."""

    # how many labels are right, and what a look is worth

    level_spread: float = 0.3
    """Standard deviation, in log-odds, by which the level of P(right) may be off before anyone has looked at random
    faces. On FER2013's development rows (both halves) it is off by 0.2 to 0.3, with a judge from elsewhere by 0.25 to
    0.4."""
    level_held: float = 1.0
    """The same once decisions have been learned from: how loosely `truth.learn_truth` holds the level where it was."""
    change_at: float = 0.5
    """P(suggested) from which an automatic release changes a label, unless somebody says otherwise."""
    point: float = 0.01
    """The step of label accuracy whose price in looks is told."""
    seconds_a_look: float = 3.0
    """What a decision takes before a person's own pace is known."""
    pace_from: int = 10
    """Decisions from which a person's own pace is one."""

    # whether an outside judge has seen the labels (`independence`)

    judge_left: float = 0.25
    """The share of their weight that the recognizers must at least keep beside an independent judge. This and
    `judge_news` were set once, between one net from elsewhere and several that were trained on FER2013's development
    rows."""
    judge_news: float = 0.35
    """Up to which share of what an independent judge knows about the given labels may be news to the recognizers."""
    judge_gap_sure: float = 3.3
    """Standard errors of the gap between training and test images, wide because it also tells of splits that were
    labelled unlike."""
    judge_disputed: float = 0.2
    """Share of the rows that count as disputed: those whose given label the recognizers find least likely."""
    judge_ridge: float = 0.01
    """Keeps the weights of a judge and of recognizers finite where they foresee every label."""


STANDARD = Constants()
"""The defaults, which whoever says nothing else judges by."""
