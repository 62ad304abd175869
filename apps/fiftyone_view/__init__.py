"""The workspace in FiftyOne: a dataset with saved views, an App on this machine, tags that become decisions.

Nothing is imported here: FiftyOne needs its environment (`ferclean.steps.browse.environment`) first.
"""
