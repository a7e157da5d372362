"""Plans what to play, train and evaluate, under a lease."""

from ringrift.runtime.run import deciding, run

main = deciding("planner")

if __name__ == "__main__":
    run("planner", main)
