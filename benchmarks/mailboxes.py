"""Mail between live actors: how long a letter takes, and how many travel in a second, by thread and by socket.

    python -m benchmarks.mailboxes [threads] [sockets]

A letter is a change of a market, as streams send it. One actor sends, the other, which is a thread or a process,
sends it back: half of the way there and back is a hop. Then 200,000 letters go one way, as fast as they can be sent.
"""

import statistics
import subprocess
import sys
import threading
import time

from headrace.actors.letters import Ask, MarketUpdate, Stop, Told
from headrace.actors.mailboxes.mail import Mail
from headrace.actors.mailboxes.socket_post import ZmqPost
from headrace.actors.mailboxes.threads import ThreadPost

CHANGE = (
    b'{"id":"1.200806927","rc":[{"batb":[[0,3.45,120.5],[1,3.4,33.1]],"id":12345678,"tv":10234.55,"ltp":3.45}],'
    b'"con":true}'
)
#: Letters a second, and how many of them, of the runs that take the time of a hop.
PACES = ((300, 2_000), (2_000, 6_000))
MANY = 200_000


def update(number: int) -> MarketUpdate:
    return MarketUpdate("s1.market", "1.200806927", number, time.time_ns(), CHANGE)


def answer(mail: Mail) -> None:
    """Send changes back that ask for it by a publish time of 0 or more, count others, and say how many if asked."""
    count = 0
    while not mail.stopped:
        for _, letter in mail.wait(60.0).letters:
            if isinstance(letter, Stop):
                mail.stopped = True
            elif isinstance(letter, Ask):
                mail.send("a", Told("count", str(count).encode()))
            elif isinstance(letter, MarketUpdate) and letter.pt >= 0:
                mail.send("a", letter)
            else:
                count += 1


def hops(mail: Mail, pace: int, count: int) -> str:
    taken = []
    due = time.perf_counter()
    for number in range(count):
        due += 1 / pace
        time.sleep(max(0.0, due - time.perf_counter()))
        before = time.perf_counter_ns()
        mail.send("b", update(number), droppable=True)
        while not mail.wait(60.0).letters:
            pass
        taken.append((time.perf_counter_ns() - before) / 2_000)
    taken.sort()
    median, p99 = statistics.median(taken), taken[int(count * 0.99)]
    return f"{pace:,} letters/s: a hop takes {median:.0f} us at the median, {p99:.0f} us at the 99th percentile"


def rate(mail: Mail) -> str:
    before = time.perf_counter()
    for number in range(MANY):
        if number % 256 == 0:
            mail.wait(0.0)
        mail.send("b", update(-1 - number))
    mail.send("b", Ask("count", "a", ""))
    while not (letters := mail.wait(60.0).letters):
        pass
    took = time.perf_counter() - before
    (_, told), *_ = letters
    assert isinstance(told, Told)
    assert int(told.values) == MANY, f"{MANY - int(told.values)} letters were lost"
    return f"{MANY / took:,.0f} letters/s as fast as they can be sent; none was lost"


def measure(kind: str, mail: Mail) -> None:
    mail.send("b", Ask("count", "a", ""))
    while not mail.wait(60.0).letters:
        pass
    for pace, count in PACES:
        print(f"{kind}, {hops(mail, pace, count)}", flush=True)
    print(f"{kind}, {rate(mail)}", flush=True)
    mail.send("b", Stop())


def threads() -> None:
    post = ThreadPost()
    a, b = post.open("a"), post.open("b")
    a.know("b", b.address)
    b.know("a", a.address)
    other = threading.Thread(target=answer, args=(b,))
    other.start()
    measure("threads", a)
    other.join()
    post.close()


def sockets() -> None:
    post = ZmqPost()
    a = post.open("a")
    a.know("b", post.address("b"))
    other = subprocess.Popen([sys.executable, "-m", "benchmarks.mailboxes", "--answer", post.folder])
    measure("sockets", a)
    other.wait()
    post.close()


def main() -> None:
    """Measure, or be the process that answers."""
    if sys.argv[1:2] == ["--answer"]:
        post = ZmqPost(sys.argv[2])
        mail = post.open("b")
        mail.know("a", post.address("a"))
        answer(mail)
        post.close()
        return
    for kind in sys.argv[1:] or ["threads", "sockets"]:
        {"threads": threads, "sockets": sockets}[kind]()


if __name__ == "__main__":
    main()
