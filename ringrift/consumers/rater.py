"""Rates the participants of each evaluation. Several raters may run without a lease: optimistic
concurrency control on the log resolves conflicts."""

from ringrift.runtime.run import deciding, run

main = deciding("rater")

if __name__ == "__main__":
    run("rater", main)
