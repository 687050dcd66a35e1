"""DETEST: the 25 non-stiff problems of Hull, Enright, Fellen and Sedgwick, "Comparing numerical
methods for ordinary differential equations", SIAM J. Numer. Anal. 9 (1972), 603-637, each from t =
0 to 20, with all components of the state at the end.

The end values are rounded from 28 digits or more, computed with mpmath from the decimal constants
as they stand here: closed forms for A, B3 (Bessel functions), B4 (a torus), B5 (Jacobi's sn, cn,
dn), D (Kepler's equation), E1, E4, E5; exponentials of matrices for B2, C1-C4; Taylor series of
order 45 in steps of 0.05 for B1, E2, E3; extrapolation (Gragg, Bulirsch, Stoer) of order 22 in
steps of 0.5 for C5. No tinyode was involved. SciPy's DOP853 (rtol 3e-14, atol 1e-15) and the table
of ACM Algorithm 648 agree with them to 2e-12.
"""

import numpy as np


def linear(matrix):
    """Return f of dy/dt = matrix y."""
    return lambda t, y: matrix @ y


def decay_chain(*rates):
    """Return f of a chain: each substance decays into the next, the last one is stable."""
    return linear(np.diag(rates, -1) - np.diag([*rates, 0.0]))


def heat(n):
    """Return f of the heat equation on a rod of n points that is kept cold beyond its ends."""
    return linear(np.eye(n, k=1) - 2 * np.eye(n) + np.eye(n, k=-1))


def second_order(acceleration):
    """Return f of the system for (y, v) that y'' = acceleration(t, y, v) is equivalent to."""
    return lambda t, y: np.array([y[1], acceleration(t, y[0], y[1])])


def unit(n):
    """Return the first unit vector as a list."""
    return [1.0] + [0.0] * (n - 1)


def predator_prey(t, y):
    return np.array([2 * (y[0] - y[0] * y[1]), y[0] * y[1] - y[1]])


def reaction(t, y):
    return np.array([-y[0], y[0] - y[1] ** 2, y[1] ** 2])


def torus(t, y):
    r = np.sqrt(y[0] ** 2 + y[1] ** 2)
    return np.array([-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r])


def rigid_body(t, y):
    return np.array([y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]])


K2, SUN = 2.95912208286, 1.00000597682
MASSES = np.array(
    [
        0.000954786104043,
        0.000285583733151,
        0.0000437273164546,
        0.0000517759138449,
        0.00000277777777778,
    ]
)[:, None]
PLANETS = [
    3.42947415189,
    3.35386959711,
    1.35494901715,
    6.64145542550,
    5.97156957878,
    2.18231499728,
    11.2630437207,
    14.6952576794,
    6.27960525067,
    -30.1552268759,
    1.65699966404,
    1.43785752721,
    -21.1238353380,
    28.4465098142,
    15.3882659679,
    -0.557160570446,
    0.505696783289,
    0.230578543901,
    -0.415570776342,
    0.365682722812,
    0.169143213293,
    -0.325325669158,
    0.189706021964,
    0.0877265322780,
    -0.0240476254170,
    -0.287659532608,
    -0.117219543175,
    -0.176860753121,
    -0.216393453025,
    -0.0148647893090,
]


def five_bodies(t, y):
    """Jupiter to Pluto as seen from the Sun: five positions, then five velocities.

    The units are astronomical, and hundreds of days.
    """
    x = np.reshape(y[:15], (5, 3))
    between = x - x[:, None]  # [j, k]: from planet j to planet k
    to_sun = -x / np.sum(x**2, axis=1, keepdims=True) ** 1.5
    # np.eye makes the pull of a planet on itself 0 / 1 instead of 0 / 0
    to_planets = (
        between / (np.sum(between**2, axis=2, keepdims=True) + np.eye(5)[:, :, None]) ** 1.5
    )
    # the Sun, from which all is measured, is itself pulled by the planets
    pull = SUN * to_sun + np.sum(MASSES * to_planets, axis=1) + np.sum(MASSES * to_sun, axis=0)
    return np.concatenate([y[15:], np.reshape(K2 * pull, 15)])


def two_bodies(t, y):
    r3 = (y[0] ** 2 + y[1] ** 2) ** 1.5
    return np.array([y[2], y[3], -y[0] / r3, -y[1] / r3])


def pericentre(e):
    """Return the state of a body where its orbit is nearest to the centre.

    The orbit has an eccentricity e and a period 2 pi.
    """
    return [1 - e, 0.0, 0.0, ((1 + e) / (1 - e)) ** 0.5]


# name: f, y0, y at t = 20
PROBLEMS = {
    # one equation
    "A1": (lambda t, y: -y, [1.0], [2.061153622438558e-9]),
    "A2": (lambda t, y: -(y**3) / 2, [1.0], [0.2182178902359924]),
    "A3": (lambda t, y: y * np.cos(t), [1.0], [2.491650271850415]),
    "A4": (lambda t, y: y / 4 * (1 - y / 20), [1.0], [17.73016648131484]),
    "A5": (lambda t, y: (y - t) / (y + t), [4.0], [-0.7887826688964014]),
    # small systems
    "B1": (predator_prey, [1.0, 3.0], [0.6761876008576607, 0.1860816099640030]),
    "B2": (
        linear(np.array([[-1.0, 1.0, 0.0], [1.0, -2.0, 1.0], [0.0, 1.0, -1.0]])),
        [2.0, 0.0, 1.0],
        [1.000000001030577, 1.0, 0.9999999989694232],
    ),
    "B3": (
        reaction,
        [1.0, 0.0, 0.0],
        [2.061153622438558e-9, 0.05257228022048513, 0.9474277177183613],
    ),
    "B4": (torus, [3.0, 0.0, 0.0], [0.9826950928006530, 2.198447081694930, 0.9129452507276277]),
    "B5": (
        rigid_body,
        [0.0, 1.0, 1.0],
        [-0.9396570798729204, -0.3421177754000749, 0.7414126596199953],
    ),
    # moderate systems
    "C1": (
        decay_chain(*[1.0] * 9),
        unit(10),
        [
            2.061153622438558e-9,
            4.122307244877116e-8,
            4.122307244877116e-7,
            2.748204829918077e-6,
            1.374102414959039e-5,
            5.496409659836154e-5,
            1.832136553278718e-4,
            5.234675866510623e-4,
            1.308668966627656e-3,
            0.9979127409508650,
        ],
    ),
    "C2": (
        decay_chain(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
        unit(10),
        [
            2.061153622438558e-9,
            2.061153618190204e-9,
            2.061153613941849e-9,
            2.061153609693495e-9,
            2.061153605445141e-9,
            2.061153601196787e-9,
            2.061153596948432e-9,
            2.061153592700078e-9,
            2.061153588451724e-9,
            0.9999999814496176,
        ],
    ),
    "C3": (
        heat(10),
        unit(10),
        [
            2.948119211022699e-3,
            5.635380154845296e-3,
            7.829072515927038e-3,
            9.348257908595597e-3,
            1.007943610301980e-2,
            9.982674171429489e-3,
            9.088693332765332e-3,
            7.489115195185085e-3,
            5.322964130952676e-3,
            2.762434379029514e-3,
        ],
    ),
    "C4": (
        heat(51),
        unit(51),
        [
            3.124111453722103e-3,
            6.015416842151323e-3,
            8.470021834843611e-3,
            1.033682931733392e-2,
            1.153249572873920e-2,
            1.204549525737912e-2,
            1.192957068015219e-2,
            1.128883207111129e-2,
            1.025804501390988e-2,
            8.982017581934170e-3,
            7.597500902492728e-3,
            6.219920556825367e-3,
            4.935916341009462e-3,
            3.801432544256305e-3,
            2.844213677587920e-3,
            2.069123394222583e-3,
            1.464687282843781e-3,
            1.009545263941004e-3,
            6.779354330226245e-4,
            4.437815269118243e-4,
            2.833264542939063e-4,
            1.765005798797097e-4,
            1.073342592697550e-4,
            6.374497601779554e-5,
            3.698645309705448e-5,
            2.097466832644101e-5,
            1.162956710412348e-5,
            6.306710405778984e-6,
            3.346286430864211e-6,
            1.737760074181166e-6,
            8.835366904257631e-7,
            4.399520411120230e-7,
            2.146181897151679e-7,
            1.025981211657391e-7,
            4.807864068816499e-8,
            2.209175152502665e-8,
            9.956251263332034e-9,
            4.402193653863075e-9,
            1.910149382259889e-9,
            8.135892921674810e-10,
            3.402477118567461e-10,
            1.397485617490084e-10,
            5.638575302337239e-11,
            2.235459707341519e-11,
            8.710498031903506e-12,
            3.336554272387909e-12,
            1.256679565978763e-12,
            4.654359042757128e-13,
            1.693559139974939e-13,
            5.996593788386712e-14,
            1.891330691027990e-14,
        ],
    ),
    "C5": (
        five_bodies,
        PLANETS,
        [
            -4.792730224323635,
            -2.420550725449022,
            -0.9212509306015119,
            -4.217310404035213,
            7.356202947498970,
            3.223785985421212,
            4.035559443262271,
            17.19865528670555,
            7.478910794233703,
            -29.98759326324844,
            -4.107310937550930,
            -0.9277008321754408,
            -24.42125302518483,
            23.81459045746554,
            14.92096306951359,
            0.3499208963063997,
            -0.5748487687912803,
            -0.2551694020879144,
            -0.5237040978903325,
            -0.2493000463579662,
            -0.08045341642044466,
            -0.3875289237334110,
            0.05648603288767892,
            0.03023606472143343,
            0.04133856546712446,
            -0.2862393029841379,
            -0.1183032405136207,
            -0.1511986457359206,
            -0.2460068894318766,
            -0.03189687411323877,
        ],
    ),
    # orbits
    "D1": (
        two_bodies,
        pericentre(0.1),
        [0.2198835352008397, 0.9427076846341813, -0.9787659841058177, 0.3287977990962036],
    ),
    "D2": (
        two_bodies,
        pericentre(0.3),
        [-0.1777027357140412, 0.9467784719905893, -1.030294163192970, 0.1211074890053952],
    ),
    "D3": (
        two_bodies,
        pericentre(0.5),
        [-0.5780432953035361, 0.8633840009194193, -0.9595083730380727, -0.06504915126712090],
    ),
    "D4": (
        two_bodies,
        pericentre(0.7),
        [-0.9538990293416394, 0.6907409024219432, -0.8212674270877433, -0.1539574259125825],
    ),
    "D5": (
        two_bodies,
        pericentre(0.9),
        [-1.295266250987574, 0.4003938963792322, -0.6775390924707566, -0.1270838154278686],
    ),
    # of second order: Bessel (order 1/2), van der Pol, Duffing (forced), falling body, linear
    # pursuit
    "E1": (
        second_order(lambda t, y, v: -v / (t + 1) - (1 - 0.25 / (t + 1) ** 2) * y),
        [0.6713967071418030, 0.09540051444747446],
        [0.1456723600728247, -0.09883500195574578],
    ),
    "E2": (
        second_order(lambda t, y, v: (1 - y**2) * v - y),
        [2.0, 0.0],
        [2.008149762174949, -0.04250887527320215],
    ),
    "E3": (
        second_order(lambda t, y, v: y**3 / 6 - y + 2 * np.sin(2.78535 * t)),
        [0.0, 0.0],
        [-0.1004178858647241, 0.2411400132095956],
    ),
    "E4": (
        second_order(lambda t, y, v: 0.032 - 0.4 * v**2),
        [30.0, 0.0],
        [33.95091444646556, 0.2767822659672868],
    ),
    "E5": (
        second_order(lambda t, y, v: np.sqrt(1 + v**2) / (25 - t)),
        [0.0, 0.0],
        [14.11797390542625, 2.4],
    ),
}
