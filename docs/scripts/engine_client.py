"""Asks the analysis engine for the best first move of each board."""

import json
import subprocess

BOARDS = ("square8", "square19", "hex8", "hexagonal")

engine = subprocess.Popen(
    ["ringrift", "engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
for board in BOARDS:
    query = {"id": board, "config": f"{board}_2p", "simulations": 16}
    print(json.dumps(query), file=engine.stdin)
engine.stdin.close()  # the engine ends when it has answered
for line in engine.stdout:
    answer = json.loads(line)
    best = answer["moveInfos"][0]
    print(f"{answer['id']}: {best['move']}, worth {best['values'][0]:+.2f} to seat 1")
engine.wait()
