"""Plans as inputs of the target `ops`: the inverse of the decoder in fuzz/ops.cc.

What no input can say is said as nearly as one can: other keys, sizes and moments, and operations of `before` first. The
text of a plan that came from an input comes back as bytes that mean that plan (ci/fuzz_seeds_test.py).
"""

import random
import re

MOST_RECORDS = 26
SIZES = (8, 64, 0, 65, 200, 1, 1000, 4096)
KEYS = ("a", "b", "c", "d" * 101)
UNITS = ("store", "point", "log-entry", "log-count", "commit", "lock", "unlock", "pin", "unpin", "claim", "release")
CHOICES = {"put": 0, "get": 1, "delete": 2, "create": 3, "seal": 4, "pin": 5, "unpin": 6, "replace": 7, "batch": 8,
           "contains": 9, "abort": 10, "detach": 13, "attach": 14, "subscribe": 15, "next-event": 16, "unsubscribe": 17}
LONG, KILL, STOP = 19, 20, 21
LONG_KINDS = {"check": 0, "recover": 1, "evict": 2, "list": 3}


class Plan:
    """What of a plan's text an input can say."""

    def __init__(self, text):
        self.clients, self.operations = [], []  # names; of each client (word, items or operand)
        self.kills, self.stops, self.steps, self.recoverer = [], [], [], None
        self.evicts = "eviction lru" in text
        batch = None
        for line in map(str.strip, text.splitlines()):
            word, _, rest = line.partition(" ")
            if word == "client":
                self.clients.append(rest.split()[0])
                self.operations.append([])
            elif word == "kill":
                self.kills.append(moment(rest))
            elif word == "stop":
                points = re.search(r" for (\d+)", rest)
                self.stops.append((*moment(rest), int(points[1]) if points else 0))
            elif word == "recover" and rest.startswith("by "):
                self.recoverer = self.recoverer or (moment(rest) if " killed at " in rest else None)
            elif word == "run":
                name, points, *held = rest.split()
                self.steps.append((self.clients.index(name), int(points), int(held[1]) if held else 0))
            elif line == "batch {":
                batch = []
                self.operations[-1].append(("batch", batch))
            elif line == "}":
                batch = None
            elif word in ("put", "replace", "create"):
                if batch is None:
                    self.operations[-1].append((word, [item(rest)]))
                else:
                    batch.append(item(rest))
            elif word in CHOICES or word in LONG_KINDS:
                self.operations[-1].append((word, rest))


def moment(text):
    unit, number = re.search(r" at (\S+) (\d+)", text).groups()
    return UNITS.index(unit) if unit in UNITS else 0, int(number)


def item(text):
    """(key, size, tag, whether it has metadata)"""
    said = {word: int(number) * {"": 1, "K": 1024, "M": 1 << 20}[unit]
            for word, number, unit in re.findall(r" (size|tag|metadata) (\d+)([KM]?)", text)}
    return text.split('"')[1], said.get("size", 0), said.get("tag", 0), "metadata" in said


def key_of(name):
    return KEYS.index(name) if name in KEYS else sum(name.encode()) % len(KEYS)


def place_of(items):
    """The byte that says which key, which size, and whether there is metadata. Of a batch the smallest decides: a second tiny
    value of one key is decoded as a larger one."""
    size = min(its[1] for its in items)
    nearest = min(range(len(SIZES)), key=lambda i: abs(SIZES[i] - size))
    return key_of(items[0][0]) | nearest << 2 | (32 if any(its[3] for its in items) else 0)


class Record:
    """One of the input: `amounts` are the values that its third byte may have, whose lowest bits belong to the schedule."""

    def __init__(self, action, where, amounts, tag=None):
        self.action, self.where, self.amounts, self.tag = action, where, amounts, tag

    def amount(self, held):
        fitting = [amount for amount in self.amounts if held is None or amount & 7 == held]
        return fitting[0] if fitting else None


def record_of(number, word, operand):
    top = number << 5
    if word in LONG_KINDS:
        if word == "evict":
            nearest = min((amount for amount in range(256) if amount % 4 == 2), key=lambda a: abs(a * 64 - int(operand)))
            return Record(top | LONG, 0, [nearest])
        prefix = operand.strip('"')
        return Record(top | LONG, key_of(prefix) | 4 if word == "list" and prefix else 0,
                      [LONG_KINDS[word], LONG_KINDS[word] + 4])
    if word == "batch":
        return Record(top | CHOICES[word], place_of(operand), [min(len(operand), 4) - 1 << 6 | held for held in range(8)], operand[0][2])
    if isinstance(operand, list):
        return Record(top | CHOICES[word], place_of(operand), range(8), operand[0][2])
    return Record(top | CHOICES[word], key_of(operand.strip('"')) if operand else 0, range(8))


def turn_of(step, clients):
    """The byte for a step: which client, how many points."""
    client, points, _ = step
    few = points <= 32
    turn = client % clients << 6 | (points - 1 if few else 32 | min(31, (points - 1) // 16))
    return turn or 32  # zero would be no step: sixteen times nothing is one point too


def healer_of(recoverer):
    if recoverer is None:
        return 0
    values = [value for value in range(256) if value & 7 == 7]
    return min(values, key=lambda value: (value >> 5 != recoverer[0], abs(1 + (value >> 3 & 15) * 4 - recoverer[1])))


def heads(queues):
    """What may stand next: tags rise from record to record, everything else is free among clients."""
    least = min((its.tag for queue in queues for its in queue if its.tag is not None), default=None)
    return [queue for queue in queues if queue and (queue[0].tag is None or queue[0].tag == least)]


def encode(text, look=0):
    """The input. ValueError where its schedule does not fit."""
    plan = Plan(text)
    clients = min(len(plan.clients), 3)
    queues = [[record_of(number, *operation) for operation in operations]
              for number, operations in enumerate(plan.operations[:clients])]
    queues.append([Record(KILL | plan_client << 5, unit, [min(number, 256) - 1])
                   for plan_client, (unit, number) in killed(plan, text)])
    queues.append([Record(STOP | client << 5, stop_place(unit, points), [min(number, 256) - 1])
                   for client, (unit, number, points) in stopped(plan, text)])
    full = [len(queues[-2]) == clients, len(queues[-1]) == 1]
    steps, records = list(plan.steps), []
    while any(queues) or steps:
        held = steps[0][2] if steps else None
        slack = sum(map(len, queues)) - len(steps)
        if slack < 0 or (slack == 0 and not any(queue[0].amount(held) is not None for queue in heads(queues))):
            # One kill or stop too many means nothing, and carries a step.
            spare = [action for action, its, queue in zip((KILL, STOP), full, queues[-2:]) if its and not queue]
            if spare:
                records.append(bytes([spare[0], 0, held, turn_of(steps.pop(0), clients)]))
                continue
            if not any(queues):
                break
        fitting = [queue for queue in heads(queues) if queue[0].amount(held) is not None]
        # What has few amounts goes first where it fits, and without a step where it does not.
        queue = min(fitting or heads(queues), key=lambda queue: len(queue[0].amounts))
        its = queue.pop(0)
        if steps and fitting:
            records.append(bytes([its.action, its.where, its.amount(held), turn_of(steps.pop(0), clients)]))
        else:
            records.append(bytes([its.action, its.where, its.amount(None), 0]))
    if steps or len(records) > MOST_RECORDS:
        raise ValueError(f"{len(records)} records, and {len(steps)} steps too many")
    shape = clients | (0x1C if plan.evicts else 0)
    return bytes([shape, look, healer_of(plan.recoverer), 0]) + b"".join(records)


def killed(plan, text):
    names = re.findall(r"(?m)^kill (\S+) at", text)
    return [(plan.clients.index(name), its) for name, its in zip(names, plan.kills)
            if plan.clients.index(name) < min(3, len(plan.clients))][:3]


def stopped(plan, text):
    names = re.findall(r"(?m)^stop (\S+) at", text)
    return [(plan.clients.index(name), its) for name, its in zip(names, plan.stops)
            if plan.clients.index(name) < min(3, len(plan.clients))][:1]


def stop_place(unit, points):
    return min((place for place in range(256) if place % len(UNITS) == unit), key=lambda place: abs(place * 4 - points))


def encode_nearly(text, seed):
    """Any plan: as many operations as fit, and steps that the seed chooses where its schedule is none of steps."""
    chance = random.Random(f"{seed} plan")
    plan = Plan(text)
    count = min(MOST_RECORDS, sum(map(len, plan.operations[:3])))
    if not plan.steps:
        names = plan.clients[:3]
        lines = [f"run {chance.choice(names)} {chance.randint(1, 200)} held {chance.choice((0, 0, 0, 1, 2, 7))}"
                 for _ in range(count * 2 // 3)]
        text += "schedule replay {\n" + "\n".join(lines) + "\n}\n"
    return encode(text, look=chance.randrange(256))
