import sys,time,statistics,cProfile,pstats,asyncio; sys.path.insert(0,'tests')
from exchange_servers import *; from exchange_builders import *
from test_exchange_http import Calls, BETTING, call, written
with served(exchange_of(), lambda _: Calls().operations()) as s:
    req=written(s,call(BETTING+"placeOrders",{"marketId":"1.1","instructions":[{"selectionId":1,"limitOrder":{"price":2,"size":2}}]}))
    c=s.connect()
    prof=cProfile.Profile()
    for k in range(2):
        if k: s.do(prof.enable)
        a=time.perf_counter(); p=time.process_time()
        for _ in range(1000):
            c.sendall(req); c.recv(65536)
        print("wall ms",(time.perf_counter()-a), "cpu ms", (time.process_time()-p))
        if k: s.do(prof.disable)
    pstats.Stats(prof).sort_stats("tottime").print_stats(18)
