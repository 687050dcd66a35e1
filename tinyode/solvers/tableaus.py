"""The methods, as data: a new method is a new entry here and nothing else.

What the numbers mean stands in `tableau`.

HNW and HW are Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations" I (1993) and
Hairer and Wanner II (1996).
"""

import math
from functools import partial

from .tableau import (
    Methods,
    collocation,
    factored_interpolant,
    hairer_interpolant,
    later,
    stage_interpolant,
    tableau,
)

# fmt: off
DOP853_B = ("0.054293734116568765 0 0 0 0 4.450312892752409 1.8915178993145003 -5.801203960010585 0.3111643669578199 "
            "-0.1521609496625161 0.20136540080403034 0.04471061572777259 0")
TSIT5_B = "0.09646076681806523 0.01 0.4798896504144996 1.379008574103742 -3.290069515436081 2.324710524099774 0"
DOPRI5_B = "35/384 0 500/1113 125/192 -2187/6784 11/84 0"

SQRT2, SQRT3, SQRT6, SQRT15 = math.sqrt(2), math.sqrt(3), math.sqrt(6), math.sqrt(15)
ALEXANDER = 1 - SQRT2 / 2  # gamma of sdirk2
TRBDF2_B = [SQRT2 / 4, SQRT2 / 4]
KVAERNO3 = 0.4358665215084590  # gamma: the root of 6 x^3 - 18 x^2 + 9 x - 1 that makes it L-stable
KVAERNO3_ROWS = [
    [KVAERNO3],
    [(-4 * KVAERNO3**2 + 6 * KVAERNO3 - 1) / (4 * KVAERNO3), (1 - 2 * KVAERNO3) / (4 * KVAERNO3)],
    [(6 * KVAERNO3 - 1) / (12 * KVAERNO3), -1 / ((24 * KVAERNO3 - 12) * KVAERNO3),
     (-6 * KVAERNO3**2 + 6 * KVAERNO3 - 1) / (6 * KVAERNO3 - 3)]]
KVAERNO5_ROWS = [
    "0.26",
    "0.13 0.84033320996790809",
    "0.22371961478320505 0.47675532319799699 -0.06470895363112615",
    "0.16648564323248321 0.10450018841591720 0.03631482272098715 -0.13090704451073998",
    "0.13855640231268224 0 -0.04245337201752043 0.02446657898003141 0.61943039072480676",
    "0.13659751177640291 0 -0.05496908796538376 -0.04118626728321046 0.62993304899016403 0.06962479448202728"]
KVAERNO5_DIAGONAL = "0 0.26 0.26 0.26 0.26 0.26 0.26"

method, by_collocation = later(tableau), later(collocation)

TABLEAUS = Methods([
    method(
        "euler", 1, a=[], b="1",
        reference="Euler, Institutiones calculi integralis (1768); HNW, section I.7"),
    method(
        "midpoint", 2, a=["1/2"], b="0 1",
        reference="Runge (1895); HNW, equation II.1.4"),
    method(
        "heun", 2, a=["1"], b="1/2 1/2",
        reference="Heun (1900), the explicit trapezoidal rule; HNW, section II.1"),
    method(
        "ralston", 2, a=["2/3"], b="1/4 3/4",
        reference="Ralston (1962), the least bound of the error of all methods of two stages and order 2"),
    method(
        "rk4", 4, a=["1/2", "0 1/2", "0 0 1"], b="1/6 1/3 1/3 1/6",
        reference="Kutta (1901), 'the' Runge-Kutta method; HNW, table II.1.2"),
    method(
        "rk4_38", 4, a=["1/3", "-1/3 1", "1 -1 1"], b="1/8 3/8 3/8 1/8",
        reference="Kutta (1901), the 3/8 rule; HNW, table II.1.2"),
    method(
        "heun_euler", 2, a=["1"], b="1/2 1/2", b_hat="1 0", error_order=1,
        reference="Heun's method with Euler's in it"),
    method(
        "bosh3", 3, a=["1/2", "0 3/4", "2/9 1/3 4/9"], b="2/9 1/3 4/9 0", b_hat="7/24 1/4 1/3 1/8", error_order=2,
        reference="Bogacki and Shampine (1989); its dense output is Hermite's cubic"),
    method(
        "fehlberg45", 4,
        a=["1/4", "3/32 9/32", "1932/2197 -7200/2197 7296/2197", "439/216 -8 3680/513 -845/4104",
           "-8/27 2 -3544/2565 1859/4104 -11/40"],
        b="25/216 0 1408/2565 2197/4104 -1/5 0",
        b_hat="16/135 0 6656/12825 28561/56430 -9/50 2/55", error_order=4,
        reference="Fehlberg (1969), which advances by the method of order 4; HNW, table II.5.1"),
    method(
        "dopri5", 5,
        a=["1/5",
           "3/40 9/40",
           "44/45 -56/15 32/9",
           "19372/6561 -25360/2187 64448/6561 -212/729",
           "9017/3168 -355/33 46732/5247 49/176 -5103/18656",
           DOPRI5_B],
        b=DOPRI5_B,
        b_hat="5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40", error_order=4,
        interpolant=partial(hairer_interpolant,
            DOPRI5_B, "-12715105075/11282082432 0 87487479700/32700410799 -10690763975/1880347072 701980252875/199316789632 "
                      "-1453857185/822651844 69997945/29380423"),
        reference="Dormand and Prince (1980); HNW, table II.5.2"),
    method(
        "tsit5", 5, c="0 0.161 0.327 0.9 0.9800255409045097 1 1",
        a=["0.161",
           "-0.008480655492356989 0.335480655492357",
           "2.8971530571054935 -6.359448489975075 4.3622954328695815",
           "5.325864828439257 -11.748883564062828 7.4955393428898365 -0.09249506636175525",
           "5.86145544294642 -12.92096931784711 8.159367898576159 -0.071584973281401 -0.028269050394068383",
           TSIT5_B],
        b=TSIT5_B,
        e="-0.00178001105222577714 -0.0008164344596567469 0.007880878010261995 -0.1447110071732629 0.5823571654525552 "
          "-0.45808210592918697 1/66",
        error_order=4,
        interpolant=partial(factored_interpolant,
            ["0 -1.0530884977290216", "-1.3299890189751412 1", "0.7139816917074209 -1.4364028541716351 1"],
            ["0 0 0.1017", "1.2949852507374631 -2.1966568338249754 1"],
            ["0 0 2.490627285651252793", "1.57803468208092486 -2.38535645472061657 1"],
            ["0 0 -16.54810288924490272", "-1.21712927295533244 1", "-0.61620406037800089 1"],
            ["0 0 47.37952196281928122", "-1.203071208372362603 1", "-0.658047292653547382 1"],
            ["0 0 -34.87065786149660974", "-1.2 1", "-2/3 1"],
            ["0 0 2.5", "-1 1", "-0.6 1"]),
        reference="Tsitouras (2011), Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption"),
    method(
        "dop853", 8,
        c="0 0.05260015195876773 0.0789002279381516 0.1183503419072274 0.2816496580927726 0.3333333333333333 0.25 "
          "0.3076923076923077 0.6512820512820513 0.6 0.8571428571428571 1 1",
        a=["0.05260015195876773",
           "0.0197250569845379 0.0591751709536137",
           "0.02958758547680685 0 0.08876275643042054",
           "0.2413651341592667 0 -0.8845494793282861 0.924834003261792",
           "0.037037037037037035 0 0 0.17082860872947386 0.12546768756682242",
           "0.037109375 0 0 0.17025221101954405 0.06021653898045596 -0.017578125",
           "0.03709200011850479 0 0 0.17038392571223998 0.10726203044637328 -0.015319437748624402 0.008273789163814023",
           "0.6241109587160757 0 0 -3.3608926294469414 -0.868219346841726 27.59209969944671 20.154067550477894 -43.48988418106996",
           "0.47766253643826434 0 0 -2.4881146199716677 -0.590290826836843 21.230051448181193 15.279233632882423 "
           "-33.28821096898486 -0.020331201708508627",
           "-0.9371424300859873 0 0 5.186372428844064 1.0914373489967295 -8.149787010746927 -18.52006565999696 22.739487099350505 "
           "2.4936055526796523 -3.0467644718982196",
           "2.273310147516538 0 0 -10.53449546673725 -2.0008720582248625 -17.9589318631188 27.94888452941996 -2.8589982771350235 "
           "-8.87285693353063 12.360567175794303 0.6433927460157636",
           DOP853_B],
        b=DOP853_B, error_order=7,
        e="0.01312004499419488 0 0 0 0 -1.2251564463762044 -0.4957589496572502 1.6643771824549864 -0.35032884874997366 "
          "0.3341791187130175 0.08192320648511571 -0.022355307863886294 0",
        e3="-0.18980075407240762 0 0 0 0 4.450312892752409 1.8915178993145003 -5.801203960010585 -0.4226823213237919 "
           "-0.1521609496625161 0.20136540080403034 0.02265179219836082 0",
        extra=["0.056167502283047954 0 0 0 0 0 0.25350021021662483 -0.2462390374708025 -0.12419142326381637 0.15329179827876568 "
               "0.00820105229563469 0.007567897660545699 -0.008298",
               "0.03183464816350214 0 0 0 0 0.028300909672366776 0.053541988307438566 -0.05492374857139099 0 0 -0.00010834732869724932 "
               "0.0003825710908356584 -0.00034046500868740456 0.1413124436746325",
               "-0.42889630158379194 0 0 0 0 -4.697621415361164 7.683421196062599 4.06898981839711 0.3567271874552811 0 0 0 "
               "-0.0013990241651590145 2.9475147891527724 -9.15095847217987"],
        interpolant=partial(hairer_interpolant,
            DOP853_B,
            "-8.428938276109013 0 0 0 0 0.5667149535193777 -3.0689499459498917 2.38466765651207 2.117034582445028 "
            "-0.871391583777973 2.2404374302607883 0.6315787787694688 -0.08899033645133331 18.148505520854727 -9.194632392478356 "
            "-4.436036387594894",
            "10.427508642579134 0 0 0 0 242.28349177525817 165.20045171727028 -374.5467547226902 -22.113666853125306 "
            "7.733432668472264 -30.674084731089398 -9.332130526430229 15.697238121770845 -31.139403219565178 -9.35292435884448 "
            "35.81684148639408",
            "19.985053242002433 0 0 0 0 -387.0373087493518 -189.17813819516758 527.8081592054236 -11.57390253995963 6.8812326946963 "
            "-1.0006050966910838 0.7777137798053443 -2.778205752353508 -60.19669523126412 84.32040550667716 11.99229113618279",
            "-25.69393346270375 0 0 0 0 -154.18974869023643 -231.5293791760455 357.6391179106141 93.40532418362432 "
            "-37.45832313645163 104.0996495089623 29.8402934266605 -43.53345659001114 96.32455395918828 -39.17726167561544 "
            "-149.72683625798564"),
        reference="Dormand and Prince (1989), Hairer's code DOP853; HNW, section II.10"),
    by_collocation(
        "implicit_euler", 1, [1.0],
        reference="HW, section IV.3; L-stable"),
    by_collocation(
        "implicit_midpoint", 2, [0.5],
        reference="HW, section IV.3; Gauss's with one stage, symplectic"),
    by_collocation(
        "trapezoid", 2, [0.0, 1.0],
        reference="Crank and Nicolson (1947); HW, section IV.3; A-stable, and damps nothing"),
    method(
        "sdirk2", 2, a=[[1 - ALEXANDER]], b=[1 - ALEXANDER, ALEXANDER], diagonal=[ALEXANDER] * 2,
        interpolant=[[2 - 2 * ALEXANDER, ALEXANDER - 1], [2 * ALEXANDER - 1, 1 - ALEXANDER]],
        reference="Alexander (1977), L-stable; its dense output is the parabola with both end values and the slope at the end"),
    by_collocation(
        "gauss_legendre4", 4, [0.5 - SQRT3 / 6, 0.5 + SQRT3 / 6],
        reference="Hammer and Hollingsworth (1955); HNW, table II.7.3; symplectic"),
    by_collocation(
        "gauss_legendre6", 6, [0.5 - SQRT15 / 10, 0.5, 0.5 + SQRT15 / 10],
        reference="Kuntzmann (1961), Butcher (1964); HNW, table II.7.4; symplectic"),
    by_collocation(
        "radau_iia3", 3, [1 / 3, 1.0],
        reference="Ehle (1969), Axelsson (1969); HW, table IV.5.5; L-stable"),
    by_collocation(
        "radau_iia5", 5, [(4 - SQRT6) / 10, (4 + SQRT6) / 10, 1.0], estimate=True,
        reference="Ehle (1969); HW, table IV.5.6 and section IV.8, the method of the code RADAU5; L-stable"),
    method(
        "trbdf2", 2, a=[[ALEXANDER], TRBDF2_B], b=[*TRBDF2_B, ALEXANDER], diagonal=[0, ALEXANDER, ALEXANDER],
        b_hat="1/2 1/2 0", error_order=1,
        reference="Bank and others (1985); Hosea and Shampine (1996); L-stable. It is compared with the line through y and Y_2, and "
                  "not with their method of order 3: then error / rtol is 0.8 to 1.0 on HIRES, rtol 1e-2 to 1e-6, and not 2 to 220"),
    method(
        "kvaerno3", 3, a=KVAERNO3_ROWS, b=[*KVAERNO3_ROWS[-1], KVAERNO3], diagonal=[0, *[KVAERNO3] * 3],
        b_hat=[*KVAERNO3_ROWS[-2], KVAERNO3, 0], error_order=2,
        reference="Kvaerno (2004), Singly diagonally implicit Runge-Kutta methods with an explicit first stage; L-stable"),
    method(
        "kvaerno5", 5, a=KVAERNO5_ROWS, b=KVAERNO5_ROWS[-1] + " 0.26", diagonal=KVAERNO5_DIAGONAL,
        b_hat=KVAERNO5_ROWS[-2] + " 0.26 0", error_order=4,
        interpolant=partial(stage_interpolant, KVAERNO5_ROWS, KVAERNO5_DIAGONAL, [0, 1, 2, 3, 4, 6]),  # not b_hat's stage
        reference="Kvaerno (2004); L-stable; its third stage lies beyond the step, by 0.23 of it, and so beyond the end of the last one"),
])

ELSEWHERE = {  # names of the same method, or the nearest, elsewhere: their letters and digits alone
    "euler": "forwardeuler expliciteuler",
    "heun": "heun2 rk2 improvedeuler",
    "ralston": "heun3",
    "rk4": "rungekutta rungekutta4 classical",
    "heun_euler": "adaptiveheun fehlberg2",
    "bosh3": "rk23 ode23 bs3 bogackishampine",
    "fehlberg45": "rkf45 fehlberg",
    "dopri5": "rk45 ode45 dp5 dormandprince lsoda vode scipysolver",
    "tsit5": "tsitouras tsitouras5",
    "dop853": "dopri8 dp8 ode78 ode89 ode113 vern6 vern7 vern8 vern9 explicitadams implicitadams "
              "fixedadams adams",
    "implicit_euler": "backwardeuler",
    "trapezoid": "cranknicolson ode23t",
    "gauss_legendre4": "gl4",
    "gauss_legendre6": "gl6",
    "radau_iia5": "radau radau5 bdf lsoda vode scipysolver zvode cvode cvodebdf ode15s ode23s rodas4 rodas5 qndf fbdf",
    "trbdf2": "ode23tb rosenbrock23",
    "kvaerno3": "kencarp3",
    "kvaerno5": "kvaerno4 kencarp4 kencarp5"}
# fmt: on


def _letters(name):
    """Return a name's letters and digits alone, in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def find(method, name="method"):
    """Return the tableau of this name.

    Raises
    ------
    ValueError
        If there is none, with the nearest names.
    """
    if isinstance(method, str) and method in TABLEAUS:
        return TABLEAUS[method]
    import difflib  # seldom needed

    letters, hint = _letters(str(method)), ""
    same = [ours for ours, others in ELSEWHERE.items() if letters in others.split()]
    if same:
        hint = f"here the same method, or the nearest, is {' or '.join(map(repr, same))}. Or "
    near = difflib.get_close_matches(str(method), TABLEAUS, n=3, cutoff=0.4)
    if near:
        hint += f"did you mean {' or '.join(map(repr, near))}? "
    hint = hint.removesuffix("Or ")
    for ours in TABLEAUS:
        if letters == _letters(ours):
            hint = f"write {ours!r}. "
    raise ValueError(f"{name}={method!r} is not known; {hint}The methods are {', '.join(TABLEAUS)}")
