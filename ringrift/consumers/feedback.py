"""Decides what self-play, training and the fleet should do differently, under a lease."""

from ringrift.runtime.run import deciding, run

main = deciding("feedback")

if __name__ == "__main__":
    run("feedback", main)
