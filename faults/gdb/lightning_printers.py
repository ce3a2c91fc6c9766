"""gdb's view of a segment: printers for its words, and commands that show slots, undo logs and locks.

  gdb -x faults/gdb/lightning_printers.py -p PID     or `source` it in gdb

In gdb: `lightning help`. Cells, lock words, state words, log entries, slots, buckets, objects and blocks print by their
meaning wherever the store's types appear. The segment is found among the process's mappings by its magic number; it is
read and never written. Layout: docs/segment-format.md.
"""

import re

import gdb

PAGE = 4096
MAGIC = b"LGTHNNG1"
LIVES = ("free", "attaching", "active", "recovering", "rolled back")
OBJECT_STATES = ("free", "unsealed", "sealed", "retired")
BLOCK_STATES = ("unused", "free", "used")


def low(word):
    return word & 0xFFFFFFFF


def high(word):
    return word >> 32


# --- what words say


def lock_text(word):
    if high(word) == 0:
        return f"free, released {low(word)} times"
    return f"HELD by slot {(high(word) & 0xFFFF) - 1}, generation {word >> 48}"


def state_text(word):
    life = word & 0xFF
    text = f"{LIVES[life] if life < len(LIVES) else '?'}, generation {word >> 8 & 0xFFFF}"
    if life == 3:
        text += f", by slot {word >> 24 & 0xFFFF}, generation {word >> 40 & 0xFFFF}"
    return text


def head_text(word):
    state = word & 0xFF
    text = f"{OBJECT_STATES[state] if state < len(OBJECT_STATES) else '?'}, key of {word >> 16 & 0xFFFF} bytes"
    return text + (f", of slot {word >> 32 & 0xFFFF}" if state == 1 else "")


def entry_text(word):
    if low(word) == 0:
        return "free"
    return f"object {low(word)}, {'unsealed, ' if word >> 32 & 1 else ''}hash bits {word >> 38:#x}"


# --- the segment


class Segment:
    """Where the segment is in the process, and where its tables begin. Types come from the program's debug information."""

    def __init__(self, base, name):
        self.base, self.name = base, name
        self.slot_type = gdb.lookup_type("lightning::Slot")
        self.central_type = gdb.lookup_type("lightning::Central")
        numbers = self.value("lightning::Superblock", 0)
        for field in ("size", "max_objects", "max_clients", "max_pins", "event_slots"):
            setattr(self, field, int(numbers[field]))
        self.place()

    def place(self):
        """The same sums as Geometry::Compute."""
        self.objects = self.max_objects + 64 + 16 * self.max_clients
        self.home_buckets = self.max_objects // 4 + 1
        overflow = self.max_objects // 8 + 1
        self.blocks = 2 * (self.objects + 64 * self.max_clients) + 2
        end = PAGE

        def table(size):
            nonlocal end
            at = end
            end = (end + size + PAGE - 1) // PAGE * PAGE
            return at

        sizes = {name: gdb.lookup_type(f"lightning::{name}").sizeof
                 for name in ("Bucket", "Object", "Block", "EventSlot")}
        self.slot_stride = (self.slot_type.sizeof + PAGE - 1) // PAGE * PAGE
        self.tables = [
            ("central", table(self.central_type.sizeof), self.central_type.sizeof),
            ("slot", table(self.slot_stride * self.max_clients), self.slot_stride),
            ("bucket", table(sizes["Bucket"] * (self.home_buckets + overflow)), sizes["Bucket"]),
            ("object", table(sizes["Object"] * self.objects), sizes["Object"]),
            ("block", table(sizes["Block"] * self.blocks), sizes["Block"]),
            ("event", table(sizes["EventSlot"] * self.event_slots), sizes["EventSlot"]),
        ]
        self.control_end = end

    def value(self, type_name, offset):
        kind = gdb.lookup_type(type_name)
        return gdb.Value(self.base + offset).cast(kind.pointer()).dereference()

    def slot(self, index):
        return self.value("lightning::Slot", self.tables[1][1] + index * self.slot_stride)

    def word(self, offset):
        return word_at(self.base + offset)

    def offset_of(self, name):
        """The byte offset of the word that name_of calls so, or None."""
        for table, begin, size in self.tables:
            words = name.split()
            if words[:1] == [table]:
                begin += 0 if table == "central" else int(words[1]) * size
                return next((at for at in range(begin, begin + size, 4) if self.name_of(at) == name), None)
        return None

    def name_of(self, offset):
        """"bucket 2 lock" of a byte offset in the segment."""
        if offset < self.tables[0][1]:
            return f"superblock offset {offset}"
        if offset >= self.control_end:
            return f"offset {offset}, behind the control region"
        name, begin, size = [table for table in self.tables if table[1] <= offset][-1]
        index, within = divmod(offset - begin, size)
        kind = {"central": "Central", "slot": "Slot", "bucket": "Bucket", "object": "Object", "block": "Block",
                "event": "EventSlot"}[name]
        place = field_at(gdb.lookup_type(f"lightning::{kind}"), within)
        return f"central {place}" if name == "central" else f"{name} {index} {place}"


def word_at(address):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


def field_at(kind, offset):
    """"log[3].old" of a byte offset in a struct."""
    kind = kind.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_ARRAY:
        element = kind.target()
        index, within = divmod(offset, element.sizeof)
        rest = field_at(element, within)
        return f"[{index}]" + (f".{rest}" if rest else "")
    if kind.code != gdb.TYPE_CODE_STRUCT or kind.tag and kind.tag.endswith("Word") or kind.tag == "lightning::Cell":
        return ""
    for field in kind.fields():
        if field.is_base_class or not hasattr(field, "bitpos"):
            continue
        begin = field.bitpos // 8
        if begin <= offset < begin + field.type.sizeof:
            rest = field_at(field.type, offset - begin)
            return field.name + (rest if rest.startswith("[") else f".{rest}" if rest else "")
    return f"offset {offset}"


def mappings():
    """(begin, file) of each mapping of a file from its beginning, in the selected process."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    if connection is not None and connection.type != "native":  # a recording: its process is not one of this machine
        for line in gdb.execute("info proc mappings", to_string=True).splitlines():
            parts = re.match(r"\s*(0x\w+)\s+0x\w+\s+0x\w+\s+0x0\s+(?:[rwxps-]{4}\s+)?(/.*)", line)
            if parts:
                yield int(parts[1], 16), parts[2].strip()
        return
    try:
        with open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="utf-8") as lines:
            for line in lines:
                parts = line.split(maxsplit=5)
                if len(parts) == 6 and int(parts[2], 16) == 0:
                    yield int(parts[0].split("-")[0], 16), parts[5].strip()
    except OSError:
        return


chosen = None  # a base that the user named


def find_segment():
    if chosen is not None:
        return Segment(*chosen)
    for begin, name in mappings():
        try:
            if gdb.selected_inferior().read_memory(begin, 8).tobytes() == MAGIC:
                return Segment(begin, name)
        except gdb.MemoryError:
            continue
    raise gdb.GdbError("no segment among the mappings of this process; `lightning segment ADDRESS` says where one is")


# --- printers


class WordPrinter:
    def __init__(self, value, text):
        self.value, self.text = value, text

    def to_string(self):
        return self.text(word_at(int(self.value.address)))


class RawPrinter:
    """A struct as text, for what is not worth a tree."""

    def __init__(self, value, text):
        self.value, self.text = value, text

    def to_string(self):
        return self.text(self.value)


def cell(value):
    return word_at(int(value.address))


def logged_text(value):
    return f"{{offset {cell(value['offset'])}, old {cell(value['old']):#x}}}"


def object_text(value):
    return (f"{{{head_text(cell(value['head']))}, version {cell(value['version'])}, {cell(value['size'])} bytes at "
            f"offset {cell(value['payload'])}}}")


def block_text(value):
    state = cell(value["state"])
    extent = cell(value["extent"])
    name = BLOCK_STATES[state] if state < len(BLOCK_STATES) else "?"
    return f"{{{name}, {low(extent)} granules from {high(extent)}}}"


def bucket_text(value):
    entries = [cell(value[half]["entries"][i]) for half in ("first", "second") for i in range(4)]
    used = ", ".join(entry_text(entry) for entry in entries if low(entry))
    return f"{{lock {lock_text(cell(value['lock']))}; {used or 'empty'}}}"


def slot_text(value):
    return (f"{{{state_text(cell(value['state']))}, pid {cell(value['pid'])}, lock {lock_text(cell(value['lock']))}, "
            f"{cell(value['held_count'])} held locks, {cell(value['log_count'])} undo entries}}")


WORDS = {
    "lightning::Cell": lambda word: f"{word:#x}",
    "lightning::OwnWord": lambda word: f"{word:#x}",
    "lightning::LockWord": lock_text,
    "lightning::StateWord": state_text,
}
STRUCTS = {
    "lightning::LogEntry": logged_text,
    "lightning::Object": object_text,
    "lightning::Block": block_text,
    "lightning::Bucket": bucket_text,
    "lightning::Slot": slot_text,
}


def find_printer(value):
    name = value.type.strip_typedefs().tag
    if value.address is None:
        return None
    if name in WORDS:
        return WordPrinter(value, WORDS[name])
    if name in STRUCTS:
        return RawPrinter(value, STRUCTS[name])
    return None


# --- commands


def show_where():
    gdb.execute("frame")
    gdb.execute("x/i $pc")


def show_slots(segment):
    print(f"segment {segment.name} at {segment.base:#x}, {segment.size} bytes")
    for index in range(segment.max_clients):
        state = cell(segment.slot(index)["state"])
        if state == 0:
            continue
        print(f"slot {index}: {slot_text(segment.slot(index))}")


def show_log(segment, index):
    slot = segment.slot(index)
    count = min(cell(slot["log_count"]), 1536)
    print(f"undo log of slot {index}: {count} entries")
    for i in range(count):
        offset, old = cell(slot["log"][i]["offset"]), cell(slot["log"][i]["old"])
        print(f"  {i}: {segment.name_of(offset)}: was {old:#x}, is {segment.word(offset):#x}")


def show_locks(segment):
    held = []
    central = segment.value("lightning::Central", segment.tables[0][1])
    held += [(f"central {name}", cell(central[name])) for name in ("lock", "event_lock")]
    held += [(f"slot {i} lock", cell(segment.slot(i)["lock"])) for i in range(segment.max_clients)]
    begin, size = segment.tables[2][1], segment.tables[2][2]
    held += [(f"bucket {i} lock", segment.word(begin + i * size)) for i in range(segment.home_buckets)]
    held = [(name, word) for name, word in held if high(word)]
    print(f"locks: {len(held)} held")
    for name, word in held:
        print(f"  {name}: {lock_text(word)}")


def active_slots(segment):
    return [i for i in range(segment.max_clients) if cell(segment.slot(i)["state"]) & 0xFF]


class Lightning(gdb.Command):
    """Shows what is in the segment: lightning where|slots|slot N|log [N]|locks|all|name OFFSET|watch NAME|segment [ADDRESS|FILE]"""

    def __init__(self):
        super().__init__("lightning", gdb.COMMAND_DATA)

    def complete(self, text, word):
        return [name for name in ("where", "slots", "slot", "log", "locks", "all", "name", "watch", "segment", "help")
                if name.startswith(text)]

    def invoke(self, argument, from_tty):
        words = argument.split() or ["help"]
        what, rest = words[0], words[1:]
        if what == "help":
            print("lightning where          the instruction and its source line\n"
                  "lightning slots          client slots that are in use\n"
                  "lightning slot N         one, whole\n"
                  "lightning log [N]        undo logs: what each entry would put back\n"
                  "lightning locks          lock words that are held\n"
                  "lightning all            all of these\n"
                  "lightning name OFFSET    the word at this byte of the segment\n"
                  "lightning watch NAME     stops where the word of this name changes, or backwards, where it was changed\n"
                  "lightning segment [AT]   which segment: an address, or the name of a mapped file\n"
                  "stepi executes the instruction at which this stands")
        elif what == "where":
            show_where()
        elif what == "segment":
            choose(rest)
        elif what == "watch":
            watch(" ".join(rest))
        else:
            show(what, rest)


def choose(rest):
    global chosen
    if rest:
        try:
            chosen = (int(rest[0], 0), "by hand")
        except ValueError:
            found = [at for at in mappings() if at[1] == rest[0]]
            if not found:
                raise gdb.GdbError(f"this process has not mapped {rest[0]}") from None
            chosen = found[0]
    segment = find_segment()
    print(f"segment {segment.name} at {segment.base:#x}, {segment.max_clients} client slots")


def watch(name):
    segment = find_segment()
    offset = segment.offset_of(name)
    if offset is None:
        raise gdb.GdbError(f"no word is called {name} (lightning name OFFSET)")
    gdb.execute(f"watch -location *(unsigned long*){segment.base + offset:#x}")


def show(what, rest):
    segment = find_segment()
    if what not in ("slots", "slot", "log", "locks", "all", "name"):
        raise gdb.GdbError(f"no such view: {what} (lightning help)")
    if what in ("slots", "all"):
        show_slots(segment)
    if what == "slot":
        slot = segment.slot(int(rest[0], 0) if rest else 0)
        for field in slot.type.fields():
            if field.name != "log":
                print(f"  {field.name} = {slot[field.name]}")
    if what in ("log", "all"):
        for index in [int(rest[0], 0)] if rest else active_slots(segment):
            show_log(segment, index)
    if what in ("locks", "all"):
        show_locks(segment)
    if what == "name":
        print(segment.name_of(int(rest[0], 0)) if rest else "lightning name OFFSET")


gdb.pretty_printers.append(find_printer)
Lightning()
