"""Promotes candidates or rejects them, under a lease."""

from ringrift.runtime.run import deciding, run

main = deciding("promoter")

if __name__ == "__main__":
    run("promoter", main)
